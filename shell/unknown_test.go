package shell_test

import (
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

func TestUnknownCommands(t *testing.T) {
	const (
		unknown   = "\nUnknown command or missing feature key: "
		old       = "\nUnknown command: "
		simulated = " exists in AsyncOS, but it is not simulated here."
	)
	for _, c := range []struct {
		major      int
		word, want string
	}{
		{14, "uname", unknown + "uname"},
		{6, "uname", old + "uname"},
		{14, "localeconfig", "\nThe command localeconfig" + simulated},
		{6, "LocaleConfig", "\nThe command localeconfig" + simulated},
		{14, "sdrconfig", "\nThe command sdrconfig" + simulated},
		{11, "sdrconfig", unknown + "sdrconfig"}, // not before 12
		{6, "dmarcconfig", old + "dmarcconfig"},
		{14, "antivirusstatus", unknown + "antivirusstatus"}, // needs a feature key
		{14, "showlicense", unknown + "showlicense"},
		{14, "", unknown},
		{14, "localeconfig trace", unknown + "localeconfig trace"},
	} {
		text, ok := refusal.Text(shell.UnknownCommand(product.Version{Major: c.major}, c.word))
		if !ok || !strings.HasPrefix(text, c.want) {
			t.Errorf("%s on %d: %q, want %q", c.word, c.major, text, c.want)
		}
	}
}

package peers_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/esasim/esasim/appliance/clock"
	"github.com/esasim/esasim/appliance/entropy"
	"github.com/esasim/esasim/appliance/network/netsim/peers"
)

// TestAuthorityOutlivesAProcess: an authority that is kept in a file is the same again, whatever has
// happened to the file there is one.
func TestAuthorityOutlivesAProcess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "authority.pem")
	next := func() []byte {
		t.Helper()
		a := peers.NewAuthority("CA", entropy.System().Stream("authority"), clock.System().Now)
		a.KeepIn(file)
		text, err := a.PEM()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Certify([]string{"mx.example.com"}); err != nil {
			t.Fatal(err)
		}
		return text
	}
	first := next()
	if !bytes.Equal(next(), first) {
		t.Error("the next process has another authority")
	}
	for _, damage := range []string{"", "torn", string(first)} {
		if err := os.WriteFile(file, []byte(damage), 0o600); err != nil {
			t.Fatal(err)
		}
		if now := next(); bytes.Equal(now, first) || !bytes.Equal(next(), now) {
			t.Errorf("after damage %q the authority is lost, or not kept", damage)
		}
	}
}

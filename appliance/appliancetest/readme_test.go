package appliancetest_test

import (
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/appliancetest"
)

func TestVersion(t *testing.T) {
	box := appliancetest.Start(t) // box.SSHAddr is for your own client
	if out := box.Exec("version"); !strings.Contains(out, "Model: C100V") {
		t.Errorf("version prints\n%s", out)
	}
}

package appliancetest_test

import (
	"os"
	"strings"
	"testing"

	"github.com/esasim/esasim/appliance/appliancetest"
)

// testsOf runs tests as package testing runs those of a package.
type testsOf func() int

func (f testsOf) Run() int { return f() }

// Tests that share a box get the same one, in the state after its start.
func TestSharedBox(t *testing.T) {
	var esa appliancetest.Shared
	var addrs []string
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	status := appliancetest.Run(testsOf(func() int {
		for range 2 {
			t.Run("one", func(t *testing.T) {
				box := esa.Box(t)
				addrs = append(addrs, box.SSHAddr)
				if name := box.Appliance().Hostname(); name != "example.com" {
					t.Errorf("the host name is %s", name)
				}
				box.Exec(`sethostname other.example.com; commit "a name" N`)
				t.Run("inner", func(t *testing.T) {
					if out := esa.Box(t).Exec("whoami"); !strings.Contains(out, "admin") {
						t.Error(out)
					}
					if name := esa.Box(t).Appliance().Hostname(); name != "other.example.com" {
						t.Errorf("in a subtest the host name is %s", name)
					}
				})
			})
		}
		t.Run("parallel", func(t *testing.T) {
			for range 3 {
				t.Run("turn", func(t *testing.T) {
					t.Parallel()
					esa.Box(t).Exec("version")
				})
			}
		})
		t.Run("shut down", func(t *testing.T) {
			box := esa.Box(t)
			s := box.Login()
			s.Type("shutdown 0")
			s.Wait()
			<-box.Done()
		})
		t.Run("after it", func(t *testing.T) { esa.Box(t).Exec("version") })
		return 7
	}), &esa)
	if status != 7 {
		t.Errorf("Run returns %d", status)
	}
	if len(addrs) != 2 || addrs[0] != addrs[1] || addrs[0] == "" {
		t.Errorf("the addresses are %q", addrs)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	expectFailure(t, "appliancetest: there is no shared box outside of appliancetest.Run: call it in TestMain", func(f *failing) { esa.Box(f) })
}

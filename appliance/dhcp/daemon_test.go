package dhcp_test

import (
	"testing"

	"github.com/esasim/esasim/appliance/dhcp"
)

// An interface asks for its address from the beginning, also before the first message is sent, and
// until an administrator configures the interfaces.
func TestStatusFromTheBeginning(t *testing.T) {
	d := dhcp.New(dhcp.Options{Interfaces: []dhcp.Interface{{Name: "Data 1"}}})
	if s, ok := d.Status("Data 1"); !ok || s.State != dhcp.Selecting || s.Interface != "Data 1" {
		t.Errorf("before the start: %+v, %v", s, ok)
	}
	if s, ok := d.Status("Data 2"); ok {
		t.Errorf("an interface without DHCP: %+v", s)
	}
	d.SetActive(false)
	if s, ok := d.Status("Data 1"); ok {
		t.Errorf("after the interfaces were configured: %+v", s)
	}
	d.SetActive(true)
	if _, ok := d.Status("Data 1"); !ok {
		t.Error("the factory configuration is restored, and there is no status")
	}
}

package box

import (
	"net/netip"
	"path/filepath"

	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/web"
)

// certificateFile is where the page's certificate and key are kept, in Options.Dir. A
// reload does not renew them: browsers that know them go on.
const certificateFile = "gui.pem"

// newGUI is the page, which tells browsers of the door to HTTPS.
func newGUI(s *instance, o Options) (*web.Server, error) {
	hosts := []string{s.appliance.Hostname(), "localhost", "127.0.0.1", "::1"}
	for _, i := range netconfig.Interfaces.Get(s.appliance.Config.Committed()).List {
		for _, a := range []netip.Addr{i.IPv4, i.IPv6.Addr()} {
			if a.IsValid() {
				hosts = append(hosts, a.String())
			}
		}
	}
	cert, err := web.Certificate(filepath.Join(o.Dir, certificateFile), o.Entropy.Stream("web/certificate"), hosts)
	if err != nil {
		return nil, err
	}
	return web.New(web.Options{Appliance: s.appliance, Certificate: cert, Outside: s.secureDoor}), nil
}

// secureDoor is the real address of a door to HTTPS.
func (s *instance) secureDoor() (netip.AddrPort, bool) {
	doors := s.world.DoorAddrs()
	for _, d := range s.world.Topology().Doors.In {
		if addr := doors[d.Name]; d.Service == "https" && addr.IsValid() {
			return addr, true
		}
	}
	return netip.AddrPort{}, false
}

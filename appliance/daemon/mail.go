package daemon

import (
	"net/netip"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/refusal"
)

// MailListeners is the section of the listeners on which hermes accepts mail: public and private
// ones, and the one for messages that come back from a central quarantine (7025).
var MailListeners = config.Define("listeners", MailListenerList{}, MailListenerList.check,
	config.In(config.Mail, 10))

// MailListenerList is the value of MailListeners.
type MailListenerList struct {
	List []MailListener `xml:"listener"`
}

func (v MailListenerList) check(c *config.Config) error {
	names := map[string]bool{}
	for _, l := range v.List {
		if l.Name == "" || names[l.Name] {
			return refusal.Newf("Every listener needs a name of its own, unlike %q.", l.Name)
		}
		names[l.Name] = true
		if l.Port == 0 {
			return refusal.Newf("The listener %s has no port.", l.Name)
		}
		if _, ok := netconfig.Interfaces.Get(c).Find(l.Interface); !ok {
			return refusal.Newf("The listener %s is on the IP interface %s, which does not exist.",
				l.Name, l.Interface)
		}
	}
	return nil
}

// A MailListener accepts mail on the addresses of an IP interface.
type MailListener struct {
	Name      string `xml:"listener_name"`
	Interface string `xml:"interface_name"`
	Port      uint16 `xml:"port"`
}

// mailAddrs returns the addresses of the mail listeners.
func mailAddrs(v config.View) []netip.AddrPort {
	interfaces := netconfig.Interfaces.Get(v)
	var out []netip.AddrPort
	for _, l := range MailListeners.Get(v).List {
		if i, ok := interfaces.Find(l.Interface); ok {
			out = append(out, i.AddrPorts(l.Port)...)
		}
	}
	return out
}

package web

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/netconfig"
	"github.com/esasim/esasim/appliance/network"
)

// A systemView is the data of Monitor > System Status.
type systemView struct {
	Facts     [][2]string
	DiskUsed  string
	DiskQuota string
	DiskPart  int // percent
	Sessions  []loginRow
}

// A loginRow is a session of any service.
type loginRow struct{ User, Role, Host, Service, LoginTime, Idle string }

func (s *site) showStatus(v *visit) error {
	b := s.appliance
	now, up := b.Now(), b.Started()
	used, quota := b.Files.Usage()
	view := systemView{Facts: [][2]string{
		{"Host Name", b.Hostname()},
		{"Product", b.Product.Name()},
		{"Model", b.Product.Model},
		{"AsyncOS Version", b.Product.Version.String()},
		{"Serial Number", b.Product.Serial},
		{"Status as of", s.formatTime(now)},
		{"Up since", fmt.Sprintf("%s (%s)", s.formatTime(up), uptime(now.Sub(up)))},
	}, DiskUsed: formatSize(used)}
	if quota > 0 {
		view.DiskQuota, view.DiskPart = formatSize(quota), int(used*100/quota)
	}
	for _, l := range b.Sessions() {
		from := "console"
		if l.ClientAddr.IsValid() {
			from = l.ClientAddr.String()
		}
		view.Sessions = append(view.Sessions, loginRow{l.Account, l.Role.String(), from,
			strings.ToUpper(l.Service), s.formatTime(l.LoginTime), uptime(l.Idle)})
	}
	return s.show(v, "status.html", view)
}

// uptime formats a duration as in 22h 45m 29s, with days in front from one day on.
func uptime(d time.Duration) string {
	n := int(max(d, 0) / time.Second)
	text := fmt.Sprintf("%dh %02dm %02ds", n/3600%24, n/60%60, n%60)
	if days := n / 86400; days > 0 {
		text = fmt.Sprintf("%dd %s", days, text)
	}
	return text
}

// An interfacesView is the data of Network > IP Interfaces.
type interfacesView struct {
	List  []interfaceRow
	Ports []portRow
}

type interfaceRow struct{ Name, Addresses, Port, Hostname, Services string }

type portRow struct{ Name, MAC, MTU, State, Addresses, In, Out string }

func (s *site) showInterfaces(v *visit) error {
	var view interfacesView
	for _, i := range netconfig.Interfaces.Get(v.session.draft).List {
		var on []string
		for _, svc := range []struct {
			name string
			port uint16
		}{{"FTP", i.FTP}, {"SSH", i.SSH}, {"HTTP", i.HTTP}, {"HTTPS", i.HTTPS}, {"API HTTP",
			i.APIHTTP}, {"API HTTPS", i.APIHTTPS}, {"new web interface", i.NextGUI}} {
			if svc.port != 0 {
				on = append(on, fmt.Sprintf("%s %d", svc.name, svc.port))
			}
		}
		prefixes, _ := i.Prefixes() // a commit reports what is wrong with it
		view.List = append(view.List, interfaceRow{i.Name, prefixList(prefixes), i.Port, i.Hostname,
			textOrNone(strings.Join(on, ", "))})
	}
	for _, n := range s.appliance.Net.Interfaces() {
		row, err := s.portRow(n)
		if err != nil {
			return err
		}
		view.Ports = append(view.Ports, row)
	}
	return s.show(v, "interfaces.html", view)
}

func (s *site) portRow(n network.Interface) (portRow, error) {
	c, err := s.appliance.Net.Counters(n.Name)
	if err != nil {
		return portRow{}, fmt.Errorf("counters of %s: %w", n.Name, err)
	}
	state := "Down"
	if n.Up {
		state = "Up"
	}
	return portRow{
		Name: n.Name, MAC: textOrNone(n.MAC.String()), MTU: formatNumber(int64(n.MTU)),
		State: state, Addresses: prefixList(n.Addrs),
		In:  count(int(c.RxPackets), "packet", "packets") + ", " + formatSize(int64(c.RxBytes)),
		Out: count(int(c.TxPackets), "packet", "packets") + ", " + formatSize(int64(c.TxBytes)),
	}, nil
}

func prefixList(list []netip.Prefix) string {
	var texts []string
	for _, p := range list {
		texts = append(texts, p.String())
	}
	return textOrNone(strings.Join(texts, ", "))
}

func textOrNone(s string) string {
	if s == "" {
		return "None"
	}
	return s
}

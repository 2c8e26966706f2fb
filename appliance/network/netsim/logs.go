package netsim

import (
	"cmp"
	"net/mail"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/logs/syslog"
)

// Subscription is l as the appliance's configuration has it. Check finds what is wrong
// with it.
func (l Log) Subscription() logs.Subscription {
	kind := logs.Type(cmp.Or(l.Type, string(logs.Mail))).Spec()
	s := logs.NewSubscription(l.Name, kind)
	s.Type = logs.Type(cmp.Or(l.Type, string(logs.Mail)))
	if l.Level != "" {
		s.Level = logs.Level(1 + slices.IndexFunc(logs.Levels(), func(v logs.Level) bool { return v.Title() == l.Level }))
	}
	s.Method = logs.Syslog
	s.Push = logs.SyslogPush{
		Host: l.Server, Port: cmp.Or(l.Port, syslog.Port), Protocol: cmp.Or(l.Protocol, "udp"),
		Facility: cmp.Or(l.Facility, kind.Facility), Tag: l.Tag, Verify: l.Verify, Buffer: int64(l.Buffer),
	}
	if l.Protocol == "tls" {
		s.Push.Protocol, s.Push.TLS = "tcp", true
	}
	return s
}

func (c *checker) logs() error {
	names := map[string]bool{}
	for i, l := range c.Appliance.Logs {
		at := func(key string) string { return index("appliance.logs", i, key) }
		if err := l.Subscription().Check(); err != nil {
			return c.fault(at(""), "%v", err)
		}
		name := strings.ToLower(l.Name) // as the configuration compares them
		if names[name] {
			return c.fault(at(".name"), "a second log %q, expected a name of its own", l.Name)
		}
		names[name] = true
	}
	for i, r := range c.Appliance.Alerts {
		if a, err := mail.ParseAddress(r.Address); err != nil || a.Address != r.Address {
			return c.fault(index("appliance.alerts", i, ".address"), "%q is no mail address, expected one such as alerts@example.com", r.Address)
		}
	}
	return nil
}

package web

import (
	"net/http"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/logs/syslog"
	"github.com/esasim/esasim/appliance/product"
)

// A logForm is a subscription that is added or edited. Trouble is a sentence.
type logForm struct {
	S          logs.Subscription
	New        bool
	Action     string
	Kinds      []logs.Kind
	Kind       logs.Kind
	Methods    []logMethod
	Levels     []logs.Level
	Facilities []string
	Days       []logs.Weekday
	Size       string // what was entered
	Trouble    string
	Since11    bool // the version has the later settings of a syslog push
	HasSecret  bool
}

type logMethod struct {
	Method logs.Method
	Title  string
}

func (s *site) newLogForm(sub logs.Subscription, fresh bool) logForm {
	f := logForm{
		S: sub, New: fresh, Kinds: logs.Kinds(s.box.Product.Version), Kind: sub.Type.Kind(), Levels: logs.Levels(),
		Facilities: syslog.Facilities(), Days: logs.Weekdays(), HasSecret: sub.Remote.Password != "",
		Since11: !s.box.Product.Version.Before(product.Version{Major: 11}),
	}
	for _, m := range []logs.Method{logs.Manual, logs.FTPPush, logs.SCPPush, logs.Syslog} {
		f.Methods = append(f.Methods, logMethod{m, methodTitle(m)})
	}
	if f.S.Method != logs.Syslog { // what was entered stays, right or wrong
		f.S.Push.Port, f.S.Push.Protocol, f.S.Push.Facility = syslog.Port, "udp", f.Kind.Facility
	}
	return f
}

func (s *site) showNewLog(v *visit) error {
	kind := logs.Mail.Kind()
	if k := logs.Type(v.FormValue("type")).Kind(); k.Title != "" {
		kind = k
	}
	f := s.newLogForm(logs.NewSubscription("", kind), true)
	return s.show(v, "logform.html", f)
}

func (s *site) showEditLog(v *visit) error {
	list := logs.Section.Get(v.session.draft)
	sub := list.Find(v.PathValue("name"))
	if sub == nil {
		return errNoLog
	}
	return s.show(v, "logform.html", s.newLogForm(*sub, false))
}

func (s *site) addLog(v *visit) error {
	kind := logs.Type(v.PostForm.Get("type")).Kind()
	if !slices.ContainsFunc(logs.Kinds(s.box.Product.Version), func(k logs.Kind) bool { return k.Type == kind.Type }) {
		return refuse(http.StatusBadRequest, "There is no such log type.")
	}
	sub := logs.NewSubscription(strings.TrimSpace(v.PostForm.Get("name")), kind)
	return s.putLog(v, sub, true)
}

func (s *site) editLog(v *visit) error {
	list := logs.Section.Get(v.session.draft)
	sub := list.Find(v.PathValue("name"))
	if sub == nil {
		return errNoLog
	}
	return s.putLog(v, *sub, false)
}

// putLog puts what a form says of sub into the draft.
func (s *site) putLog(v *visit, sub logs.Subscription, fresh bool) error {
	trouble := readLog(v, &sub)
	if sub.File == "" {
		sub.File = sub.Type.Kind().File
	}
	if trouble == nil {
		trouble = sub.Check()
	}
	if trouble == nil && fresh {
		for _, o := range logs.Section.Get(v.session.draft).List {
			if strings.EqualFold(o.Name, sub.Name) {
				trouble = refuse(http.StatusConflict, "The name is already in use.")
			}
		}
	}
	if trouble != nil {
		f := s.newLogForm(sub, fresh)
		f.Trouble = trouble.Error()
		return s.render(v, http.StatusUnprocessableEntity, "logform.html", f)
	}
	err := logs.Section.Edit(v.session.draft, func(l *logs.Subscriptions) error {
		l.Put(sub)
		return l.Check()
	})
	if err != nil {
		return editRefusal(err)
	}
	return v.done(logsPage.Path, "The log subscription %s takes effect when it is committed.", sub.Name)
}

// readLog fills in what the form holds. What is no number becomes one that Check refuses,
// where there is one; otherwise readLog refuses it.
func readLog(v *visit, sub *logs.Subscription) error {
	p := v.PostForm
	on := func(name string) bool { return p.Get(name) != "" }
	sub.Level = logs.Level(number(p.Get("level")))
	sub.File = strings.TrimSpace(p.Get("file"))
	sub.HostSuffix, sub.SerialSuffix = on("hostsuffix"), on("serialsuffix")
	sub.MaxSize, sub.MaxFiles, sub.Alert = number(p.Get("maxsize")), int(number(p.Get("maxfiles"))), on("alert")
	if sub.Type.Kind().Bounces {
		sub.BounceBytes = int(number(p.Get("bouncebytes")))
	}
	sub.Schedule, sub.Seconds, sub.Day, sub.Clock = logs.Schedule(p.Get("schedule")), 0, "", ""
	switch sub.Schedule {
	case logs.Interval:
		sub.Seconds = int(number(p.Get("seconds")))
	case logs.Daily:
		sub.Clock = p.Get("clock")
	case logs.Weekly:
		sub.Day, sub.Clock = logs.Weekday(p.Get("day")), p.Get("clock")
	}
	old := sub.Remote.Password
	sub.Method, sub.Push, sub.Remote = logs.Method(p.Get("method")), logs.Push{}, logs.Remote{}
	switch {
	case sub.Method == logs.Syslog:
		sub.Push = readPush(v, sub.Name)
	case sub.Method.Carries():
		sub.Remote = logs.Remote{Host: strings.TrimSpace(p.Get("remotehost")), User: p.Get("remoteuser"), Dir: p.Get("remotedir")}
		if sub.Method == logs.FTPPush {
			if sub.Remote.Password = p.Get("remotepassword"); sub.Remote.Password == "" {
				sub.Remote.Password = old // it is not shown, and so not sent back
			}
			break
		}
		sub.Remote.Port, sub.Remote.CheckKey = port(p.Get("remoteport")), on("checkkey")
		if sub.Remote.Port == 0 && strings.TrimSpace(p.Get("remoteport")) != "" { // 0 is the usual one
			return refuse(http.StatusUnprocessableEntity, "The port must be from 1 to 65535.")
		}
	}
	return nil
}

func readPush(v *visit, name string) logs.Push {
	p := v.PostForm
	push := logs.Push{
		Host: strings.TrimSpace(p.Get("pushhost")), Port: port(p.Get("pushport")), Protocol: p.Get("protocol"), Facility: p.Get("facility"),
		Tag: strings.TrimSpace(p.Get("tag")), MaxMessage: int(number(p.Get("maxmessage"))), TLS: p.Get("tls") != "", Verify: p.Get("verify") != "", Buffer: number(p.Get("buffer")),
	}
	if push.Tag == name {
		push.Tag = ""
	}
	if strings.TrimSpace(p.Get("maxmessage")) == "" {
		push.MaxMessage = 0
	}
	if strings.TrimSpace(p.Get("buffer")) == "" || push.Protocol == "udp" {
		push.Buffer = 0
	}
	push.TLS = push.TLS && push.Protocol == "tcp"
	push.Verify = push.Verify && push.TLS
	return push
}

// port reads the number of a port; what is none is 0.
func port(s string) uint16 {
	n := number(s)
	if n < 0 || n > 65535 {
		return 0
	}
	return uint16(n)
}

package web

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/logs/syslog"
	"github.com/esasim/esasim/appliance/product"
)

// A logForm is the form of a log subscription. S is the subscription as far as the form could be
// parsed; Text has the values of the fields, valid or not.
type logForm struct {
	S          logs.Subscription
	New        bool
	Kinds      []logs.TypeSpec
	Kind       logs.TypeSpec
	Methods    []logMethod
	Levels     []logs.Level
	Facilities []string
	Days       []logs.Weekday
	Schedule   logs.Schedule // the chosen one; an upload has an interval of its own
	Text       map[string]string
	Errors     fieldErrors
	Since11    bool // the version has the settings of a syslog push that came with 11
	HasSecret  bool
}

type logMethod struct {
	Method logs.Method
	Title  string
}

func (s *site) newLogForm(sub logs.Subscription, isNew bool) logForm {
	f := logForm{
		S: sub, New: isNew, Kinds: logs.Types(s.appliance.Product.Version), Kind: sub.Type.Spec(),
		Levels:     logs.Levels(),
		Facilities: syslog.Facilities(), Days: logs.Weekdays(),
		HasSecret: sub.Remote.Password != "",
		Since11:   !s.appliance.Product.Version.Before(product.Version{Major: 11}),
		Text:      logTexts(sub), Schedule: sub.Schedule,
	}
	if sub.Method.Uploads() {
		f.Schedule, f.Text["seconds"] = logs.NoSchedule, ""
	}
	if isNew { // the user may choose another type, which has another default
		f.Text["file"] = ""
	}
	for _, m := range []logs.Method{logs.Manual, logs.FTPPush, logs.SCPPush, logs.Syslog} {
		if m != logs.Syslog || f.Kind.Facility != "" || isNew {
			f.Methods = append(f.Methods, logMethod{m, methodTitle(m)})
		}
	}
	return f
}

// logTexts returns the values of the fields for a valid subscription.
func logTexts(sub logs.Subscription) map[string]string {
	unless0 := func(n int64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	wait := logs.DefaultUploadInterval
	if sub.Schedule == logs.Interval {
		wait = sub.IntervalSeconds
	}
	return map[string]string{
		"name": sub.Name, "file": sub.File, "maxsize": fmt.Sprint(sub.MaxSize),
		"maxfiles": fmt.Sprint(sub.MaxFiles), "bouncebytes": fmt.Sprint(sub.BounceBytes),
		"debughost": sub.DebugHost, "debugsessions": unless0(int64(sub.DebugSessions)),
		"seconds": unless0(int64(sub.IntervalSeconds)), "clock": cmp.Or(sub.TimeOfDay, "00:00"),
		"remotehost": sub.Remote.Host, "remoteuser": sub.Remote.User, "remotedir": sub.Remote.Dir,
		"remoteport": unless0(int64(sub.Remote.Port)), "remotewait": fmt.Sprint(wait),
		"pushhost": sub.Push.Host, "pushport": fmt.Sprint(cmp.Or(sub.Push.Port, syslog.Port)),
		"tag":        sub.Push.Tag,
		"maxmessage": unless0(int64(sub.Push.MaxMessage)), "buffer": unless0(sub.Push.Buffer),
	}
}

// Opens reports whether a group of fields is shown unfolded: if one of the methods that use it
// is chosen, or if one of the fields is wrong. fields are names with spaces between them.
func (f logForm) Opens(fields string, methods ...logs.Method) bool {
	for field := range strings.FieldsSeq(fields) {
		if f.Errors[field] != "" {
			return true
		}
	}
	return slices.Contains(methods, f.S.Method)
}

func (f logForm) title() string {
	if f.New {
		return "New Log Subscription"
	}
	return "Edit " + f.S.Name
}

func (s *site) showLogForm(v *visit, status int, f logForm) error {
	v.title = f.title()
	return s.render(v, status, "logform.html", f)
}

func (s *site) showNewLog(v *visit) error {
	kind := logs.Mail.Spec()
	if k := logs.Type(v.FormValue("type")).Spec(); k.Title != "" {
		kind = k
	}
	return s.showLogForm(v, http.StatusOK, s.newLogForm(logs.NewSubscription("", kind), true))
}

func (s *site) showEditLog(v *visit) error {
	list := logs.Section.Get(v.session.draft)
	sub := list.Find(v.PathValue("name"))
	if sub == nil {
		return errNoLog
	}
	return s.showLogForm(v, http.StatusOK, s.newLogForm(*sub, false))
}

func (s *site) addLog(v *visit) error {
	kind := logs.Type(v.PostForm.Get("type")).Spec()
	if !slices.ContainsFunc(logs.Types(s.appliance.Product.Version), func(k logs.TypeSpec) bool {
		return k.Type == kind.Type
	}) {
		return refuse(http.StatusBadRequest, "There is no such log type.")
	}
	return s.putLog(v, logs.NewSubscription("", kind), true)
}

func (s *site) editLog(v *visit) error {
	list := logs.Section.Get(v.session.draft)
	sub := list.Find(v.PathValue("name"))
	if sub == nil {
		return errNoLog
	}
	return s.putLog(v, *sub, false)
}

// putLog puts the subscription old, with the values of the request's form, into the draft.
func (s *site) putLog(v *visit, old logs.Subscription, isNew bool) error {
	shown := s.newLogForm(old, isNew)
	sub := readLog(v.PostForm, old, isNew)
	f := s.newLogForm(sub, isNew)
	for field := range f.Text {
		if v.PostForm.Has(field) || isNew {
			f.Text[field] = trimmed(v.PostForm, field)
		}
	}
	f.Schedule = logs.Schedule(v.PostForm.Get("schedule"))
	f.S.Push.Facility = v.PostForm.Get("facility") // "" remains the type's default
	var err error
	if f.Errors, err = checkLog(sub, v.PostForm); err != nil {
		return err
	}
	f.rejectUnused(shown)
	switch entered := v.PostForm.Get("remotepassword") != ""; {
	case entered && sub.Method != logs.FTPPush:
		f.Errors["remotepassword"] = "This is used with FTP Push only. Choose that and enter it " +
			"again, or leave it empty."
	case sub.Method == logs.FTPPush && sub.Remote.Password == "" && old.Remote.Password != "":
		f.Errors["remotepassword"] = "The passphrase that is stored belongs to another server or " +
			"user. Enter the one for these."
	}
	list := logs.Section.Get(v.session.draft).List
	if isNew && slices.ContainsFunc(list, func(o logs.Subscription) bool {
		return strings.EqualFold(o.Name, sub.Name)
	}) {
		f.Errors["name"] = "The name is already in use."
	}
	if len(f.Errors) > 0 {
		return s.refuseLogForm(v, f)
	}
	err = logs.Section.Edit(v.session.draft, func(l *logs.Subscriptions) error {
		l.Put(sub)
		return l.Check()
	})
	if err != nil {
		if err := f.Errors.set("form", editRefusal(err)); err != nil {
			return err
		}
		return s.refuseLogForm(v, f)
	}
	return v.redirectPending(logsPage.Path,
		"The log subscription %s takes effect when it is committed.", sub.Name)
}

// refuseLogForm shows a refused form again, without the passphrase that the user has entered.
func (s *site) refuseLogForm(v *visit, f logForm) error {
	if v.PostForm.Get("remotepassword") != "" {
		f.HasSecret = false
		f.Errors["remotepassword"] = cmp.Or(f.Errors["remotepassword"],
			"Enter the passphrase again: it is not sent back.")
	}
	return s.showLogForm(v, http.StatusUnprocessableEntity, f)
}

// rejectUnused adds errors to the fields of choices that are not chosen.
func (f *logForm) rejectUnused(shown logForm) {
	only := func(choice string, chosen bool, fields ...string) {
		for _, field := range fields {
			f.Errors.rejectUnused(field, f.Text[field], shown.Text[field], choice, chosen)
		}
	}
	only("Bounce Logs", f.Kind.Bounces, "bouncebytes")
	only("Domain Debug Logs and Injection Debug Logs", f.Kind.Debugs, "debughost", "debugsessions")
	only("Custom Time Interval", f.Schedule == logs.Interval, "seconds")
	only("Daily and Weekly Rollover", f.Schedule == logs.Daily || f.Schedule == logs.Weekly,
		"clock")
	only("FTP Push and SCP Push", f.S.Method.Uploads(), "remotewait", "remotehost", "remoteuser",
		"remotedir")
	only("SCP Push", f.S.Method == logs.SCPPush, "remoteport")
	only("Syslog Push", f.S.Method == logs.Syslog, "pushhost", "tag")
	if f.S.Method.Uploads() && f.Schedule != "" && f.Schedule != logs.NoSchedule &&
		f.Schedule != shown.Schedule {
		f.Errors["schedule"] = "FTP Push and SCP Push have a time of their own, which is below. " +
			"Choose None here."
	}
}

// readLog returns old with the values of a form. A value that is not a number becomes one that
// is not valid.
func readLog(p url.Values, old logs.Subscription, isNew bool) logs.Subscription {
	sub := old
	on := func(name string) bool { return p.Get(name) != "" }
	if isNew {
		sub.Name = trimmed(p, "name")
	}
	sub.Level = logs.Level(parseNumber(p.Get("level")))
	sub.File = cmp.Or(trimmed(p, "file"), sub.Type.Spec().File)
	sub.HostSuffix, sub.SerialSuffix = on("hostsuffix"), on("serialsuffix")
	sub.MaxSize, sub.MaxFiles = parseSize(p.Get("maxsize")), int(parseNumber(p.Get("maxfiles")))
	sub.Alert = on("alert")
	if sub.Type.Spec().Bounces {
		sub.BounceBytes = int(parseNumber(cmp.Or(trimmed(p, "bouncebytes"), "0")))
	}
	if sub.Type.Spec().Debugs {
		sub.DebugHost = trimmed(p, "debughost")
		sub.DebugSessions = int(parseNumber(cmp.Or(trimmed(p, "debugsessions"), "1")))
	}
	sub.Schedule = logs.Schedule(p.Get("schedule"))
	sub.IntervalSeconds, sub.Day, sub.TimeOfDay = 0, "", ""
	switch sub.Schedule {
	case logs.Interval:
		sub.IntervalSeconds = int(parseNumber(p.Get("seconds")))
	case logs.Daily:
		sub.TimeOfDay = trimmed(p, "clock")
	case logs.Weekly:
		sub.Day, sub.TimeOfDay = logs.Weekday(p.Get("day")), trimmed(p, "clock")
	}
	sub.Method = logs.Method(p.Get("method"))
	sub.Push, sub.Remote = logs.SyslogPush{}, logs.UploadTarget{}
	switch {
	case sub.Method == logs.Syslog:
		sub.Push = readPush(p, sub)
	case sub.Method.Uploads(): // as in logconfig
		sub.Schedule, sub.Day, sub.TimeOfDay = logs.Interval, "", ""
		sub.IntervalSeconds = int(parseNumber(p.Get("remotewait")))
		sub.Remote = logs.UploadTarget{Host: trimmed(p, "remotehost"), User: p.Get("remoteuser"),
			Dir: p.Get("remotedir")}
		if sub.Method == logs.FTPPush {
			sub.Remote.Password = p.Get("remotepassword")
			// The form does not show the passphrase, and so does not return it.
			if sub.Remote.Password == "" && sub.Remote.SameLogin(old.Remote) {
				sub.Remote.Password = old.Remote.Password
			}
		} else {
			sub.Remote.Port, sub.Remote.CheckKey = parsePort(p.Get("remoteport")), on("checkkey")
		}
	}
	return sub
}

func readPush(p url.Values, sub logs.Subscription) logs.SyslogPush {
	push := logs.SyslogPush{
		Host: trimmed(p, "pushhost"), Port: parsePort(p.Get("pushport")),
		Protocol: p.Get("protocol"), Facility: cmp.Or(p.Get("facility"), sub.Type.Spec().Facility),
		Tag: trimmed(p, "tag"), MaxMessage: int(parseNumber(cmp.Or(trimmed(p, "maxmessage"), "0"))),
		TLS: p.Get("tls") != "", Verify: p.Get("verify") != "",
		Buffer: parseSize(cmp.Or(trimmed(p, "buffer"), "0")),
	}
	if push.Tag == sub.Name {
		push.Tag = ""
	}
	if push.Protocol == "udp" {
		push.Buffer = 0
	}
	push.TLS = push.TLS && push.Protocol == "tcp"
	push.Verify = push.Verify && push.TLS
	return push
}

// checkLog checks each field of sub in a subscription that is otherwise valid, so that all
// errors are reported at once.
func checkLog(sub logs.Subscription, p url.Values) (fieldErrors, error) {
	found := fieldErrors{}
	var failed error
	kind := sub.Type.Spec()
	try := func(field string, put func(*logs.Subscription)) {
		probe := logs.NewSubscription("x", kind)
		put(&probe)
		failed = cmp.Or(failed, found.set(field, probe.Check()))
	}
	try("name", func(l *logs.Subscription) { l.Name = sub.Name })
	try("level", func(l *logs.Subscription) { l.Level = sub.Level })
	try("file", func(l *logs.Subscription) { l.File = sub.File })
	try("maxsize", func(l *logs.Subscription) { l.MaxSize = sub.MaxSize })
	try("maxfiles", func(l *logs.Subscription) { l.MaxFiles = sub.MaxFiles })
	try("bouncebytes", func(l *logs.Subscription) { l.BounceBytes = sub.BounceBytes })
	if kind.Debugs {
		try("debughost", func(l *logs.Subscription) { l.DebugHost = sub.DebugHost })
		try("debugsessions", func(l *logs.Subscription) {
			l.DebugHost, l.DebugSessions = "example.com", sub.DebugSessions
		})
	}
	field := map[logs.Schedule]string{logs.Interval: "seconds", logs.Daily: "clock",
		logs.Weekly: "clock"}[sub.Schedule]
	if sub.Method.Uploads() {
		field = "remotewait"
		if sub.IntervalSeconds < logs.MinInterval || sub.IntervalSeconds > logs.MaxInterval {
			found[field] = fmt.Sprintf("The time must be from %d to %d seconds.", logs.MinInterval,
				logs.MaxInterval)
		}
	}
	try(cmp.Or(field, "schedule"), func(l *logs.Subscription) {
		l.Schedule, l.IntervalSeconds = sub.Schedule, sub.IntervalSeconds
		l.Day, l.TimeOfDay = sub.Day, sub.TimeOfDay
	})
	switch {
	case sub.Method == logs.Syslog && kind.Facility != "":
		checkPush(sub, try)
	case sub.Method.Uploads():
		valid := logs.UploadTarget{Host: "192.0.2.1", User: "x"}
		remote := func(field string, put func(*logs.UploadTarget)) {
			try(field, func(l *logs.Subscription) {
				l.Method, l.Remote = sub.Method, valid
				put(&l.Remote)
			})
		}
		remote("remotehost", func(r *logs.UploadTarget) { r.Host = sub.Remote.Host })
		remote("remoteuser", func(r *logs.UploadTarget) { r.User = sub.Remote.User })
		remote("remotepassword", func(r *logs.UploadTarget) { r.Password = sub.Remote.Password })
		remote("remotedir", func(r *logs.UploadTarget) { r.Dir = sub.Remote.Dir })
		// The port 0 stands for the default, but may not be entered.
		if sub.Method == logs.SCPPush && sub.Remote.Port == 0 && trimmed(p, "remoteport") != "" {
			found["remoteport"] = "The port must be from 1 to 65535."
		}
	default:
		try("method", func(l *logs.Subscription) { l.Method = sub.Method })
	}
	return found, failed
}

// checkPush calls try for each field of a syslog push.
func checkPush(sub logs.Subscription, try func(string, func(*logs.Subscription))) {
	push := func(field string, put func(*logs.SyslogPush)) {
		try(field, func(l *logs.Subscription) {
			l.Method, l.Push = logs.Syslog, logs.SyslogPush{Host: "192.0.2.1", Port: syslog.Port,
				Protocol: "udp", Facility: sub.Type.Spec().Facility}
			put(&l.Push)
		})
	}
	push("pushhost", func(p *logs.SyslogPush) { p.Host = sub.Push.Host })
	push("pushport", func(p *logs.SyslogPush) { p.Port = sub.Push.Port })
	push("protocol", func(p *logs.SyslogPush) { p.Protocol = sub.Push.Protocol })
	push("facility", func(p *logs.SyslogPush) { p.Facility = sub.Push.Facility })
	push("tag", func(p *logs.SyslogPush) { p.Tag = sub.Push.Tag })
	push("buffer", func(p *logs.SyslogPush) { p.Buffer = sub.Push.Buffer })
	push("maxmessage", func(p *logs.SyslogPush) {
		// The bounds of TCP are different.
		if p.MaxMessage = sub.Push.MaxMessage; sub.Push.Protocol == "tcp" {
			p.Protocol = "tcp"
		}
	})
}

// parseSize parses a number of bytes, which k or m may follow (logs.md 1.3). The result is -1
// if s is not one.
func parseSize(s string) int64 {
	low := strings.ToLower(strings.TrimSpace(s))
	shift := 0
	if rest, ok := strings.CutSuffix(low, "k"); ok {
		low, shift = rest, 10
	} else if rest, ok := strings.CutSuffix(low, "m"); ok {
		low, shift = rest, 20
	}
	n := parseNumber(low)
	if n < 0 || n > 1<<40 {
		return -1
	}
	return n << shift
}

// parsePort parses the number of a port. The result is 0 if s is not one.
func parsePort(s string) uint16 {
	n := parseNumber(s)
	if n < 0 || n > 65535 {
		return 0
	}
	return uint16(n)
}

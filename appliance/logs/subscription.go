package logs

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/logs/syslog"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
)

// Section holds the log subscriptions, sorted by name. Its default is that of the newest
// versions.
var Section = config.Define("log_subscriptions",
	Subscriptions{List: newestDefaults()},
	func(v Subscriptions, _ *config.Config) error { return v.Check() }, config.In(config.Logs, 10))

// General holds the settings that apply to all subscriptions.
var General = config.Define("log_settings", Settings{MetricsInterval: 60},
	func(s Settings, _ *config.Config) error { return s.Check() }, config.In(config.Logs, 20))

// Subscriptions is the value of Section.
type Subscriptions struct {
	List []Subscription `xml:"log_subscription"`
}

// Settings is the value of General.
type Settings struct {
	MetricsInterval int      `xml:"system_metrics_frequency"` // seconds between two status lines
	MessageID       bool     `xml:"log_message_id"`
	Subject         bool     `xml:"log_original_subject"`
	Response        bool     `xml:"log_remote_response"`
	Headers         []string `xml:"log_headers>header"` // names of message headers to log
}

// A Method is how the contents of a subscription reach their readers.
type Method string

// The methods.
const (
	Manual  Method = "manual"   // files stay until a client fetches them
	FTPPush Method = "ftp_push" // saved files are sent to an FTP server
	SCPPush Method = "scp_push" // saved files are sent to an SSH server
	Syslog  Method = "syslog"   // each line is also sent to a syslog server
)

// Uploads reports whether saved files are sent to a server, and removed.
func (m Method) Uploads() bool { return m == FTPPush || m == SCPPush }

// A Schedule is when a file is rolled over although it is not full.
type Schedule string

// The schedules.
const (
	NoSchedule Schedule = "none"
	Interval   Schedule = "interval"
	Daily      Schedule = "daily"
	Weekly     Schedule = "weekly"
)

// A Subscription is the configuration of one log.
type Subscription struct {
	Name  string `xml:"name"`
	Type  Type   `xml:"type"`
	Level Level  `xml:"level"`
	File  string `xml:"file_name"`

	// The names of files contain, before their time, the host name and the serial number.
	HostSuffix   bool `xml:"hostname_suffix,omitempty"`
	SerialSuffix bool `xml:"serial_suffix,omitempty"`

	MaxSize         int64    `xml:"rollover_size"` // bytes
	Schedule        Schedule `xml:"rollover_time"`
	IntervalSeconds int      `xml:"rollover_interval,omitempty"` // of Interval
	Day             Weekday  `xml:"rollover_day,omitempty"`      // of Weekly
	TimeOfDay       string   `xml:"rollover_clock,omitempty"`    // of Daily and Weekly: "15:04"

	MaxFiles int  `xml:"max_files"`
	Alert    bool `xml:"alert_on_removal,omitempty"`

	BounceBytes int `xml:"bounce_bytes,omitempty"` // of a bounced message to record

	// DebugHost is whose SMTP conversations a domain debug log or an injection debug log records;
	// "": nobody's. At most DebugSessions are recorded.
	DebugHost     string `xml:"debug_host,omitempty"`
	DebugSessions int    `xml:"debug_sessions,omitempty"`

	Method Method       `xml:"retrieval"`
	Push   SyslogPush   `xml:"syslog_push"`
	Remote UploadTarget `xml:"file_push"`
}

// An UploadTarget is the server that saved files are sent to. If files are not sent, it is the
// zero value.
type UploadTarget struct {
	Host     string `xml:"hostname,omitempty"`
	Port     uint16 `xml:"port,omitempty"` // SCP only; 0: 22
	User     string `xml:"username,omitempty"`
	Password string `xml:"passphrase,omitempty" secret:"text"` // FTP only
	Dir      string `xml:"directory,omitempty"`                // "": the login directory
	CheckKey bool   `xml:"host_key_checking,omitempty"`        // SCP only
}

// SameLogin reports whether r's passphrase may be sent to o, which is the case if both have the
// same host and user. Otherwise an administrator could have a passphrase that he does not know
// sent to a server of his own.
func (r UploadTarget) SameLogin(o UploadTarget) bool { return r.Host == o.Host && r.User == o.User }

// A SyslogPush is the syslog server that lines are sent to, and how. If lines are not sent, it
// is the zero value.
type SyslogPush struct {
	Host       string `xml:"hostname,omitempty"`
	Port       uint16 `xml:"port,omitempty"`
	Protocol   string `xml:"protocol,omitempty"` // "udp" or "tcp"
	Facility   string `xml:"facility,omitempty"`
	Tag        string `xml:"tag,omitempty"`         // "": the subscription's name
	MaxMessage int    `xml:"max_message,omitempty"` // bytes; 0: the protocol's limit
	TLS        bool   `xml:"tls,omitempty"`
	Verify     bool   `xml:"verify_certificate,omitempty"`
	Buffer     int64  `xml:"disk_buffer,omitempty"` // bytes; 0: none
}

// A Weekday is a day by its English name.
type Weekday string

// Bounds and defaults of settings (logs.md 1.3 and 2.1).
const (
	DefaultSize        = 10 << 20
	MinSize            = 100 << 10
	MaxSize            = 1 << 30
	DefaultFiles       = 10
	MaxFiles           = 1000
	MinInterval        = 60
	MaxInterval        = 365 * 86400
	DefaultInterval    = 3600
	DefaultBuffer      = 100 << 20
	MinBuffer          = 64 << 10
	MaxBuffer          = 1 << 30
	MaxMetricsInterval = 86400
	MaxBounceBytes     = 1 << 20
	MaxDebugSessions   = 10_000
	maxSubscriptions   = 200
)

// NewSubscription returns a subscription with the settings that logconfig suggests for a type.
func NewSubscription(name string, k TypeSpec) Subscription {
	s := Subscription{
		Name: name, Type: k.Type, Level: Information, File: k.File,
		MaxSize: DefaultSize, Schedule: NoSchedule, MaxFiles: DefaultFiles, Method: Manual,
	}
	if k.Debugs {
		s.DebugSessions = 1
	}
	return s
}

// CheckDebugDomain returns a refusal if a domain debug log cannot be about s.
func CheckDebugDomain(s string) error {
	if s == "" || len(s) > 253 || !isName(s) {
		return refusal.New("The value must be a domain such as example.com.")
	}
	return nil
}

// CheckDebugClient returns a refusal if an injection debug log cannot be about s.
func CheckDebugClient(s string) error {
	_, errAddr := netip.ParseAddr(s)
	_, errNet := netip.ParsePrefix(s)
	_, _, isRange := ParseDebugRange(s)
	first, _, _ := strings.Cut(s, "-")
	_, errFirst := netip.ParseAddr(first)
	isName := errFirst != nil && CheckDebugDomain(strings.TrimPrefix(s, ".")) == nil
	if errAddr == nil || errNet == nil || isRange || isName {
		return nil
	}
	return refusal.New("The value must be an address, a network such as 192.0.2.0/24, a range such as " +
		"192.0.2.1-10, a host name, or the end of one such as .example.com.")
}

// ParseDebugRange parses a range of addresses such as 192.0.2.1-10.
func ParseDebugRange(s string) (from, to netip.Addr, ok bool) {
	first, last, found := strings.Cut(s, "-")
	from, err := netip.ParseAddr(first)
	n, errLast := strconv.ParseUint(last, 10, 8)
	if !found || err != nil || errLast != nil || !from.Is4() {
		return netip.Addr{}, netip.Addr{}, false
	}
	b := from.As4()
	b[3] = byte(n)
	to = netip.AddrFrom4(b)
	return from, to, !to.Less(from)
}

// defaults are the names and types of the subscriptions that every appliance has from the
// factory.
var defaults = [][2]string{
	{"amp", "amp"}, {"antispam", "antispam"}, {"antivirus", "antivirus"},
	{"asarchive", "asarchive"}, {"authentication", "authentication"},
	{"avarchive", "avarchive"}, {"bounces", "bounce"}, {"cli_logs", "cli"},
	{"config_history", "config_history"}, {"encryption", "encryption"},
	{"error_logs", "mail"}, {"euq_logs", "euq"}, {"euqgui_logs", "euqgui"},
	{"ftpd_logs", "ftpd"}, {"gui_logs", "gui"}, {"mail_logs", "mail"},
	{"reportd_logs", "reportd"}, {"reportqueryd_logs", "reportqueryd"},
	{"scanning", "scanning"}, {"slbld_logs", "slbld"}, {"sntpd_logs", "sntpd"},
	{"status", "status"}, {"system_logs", "system"}, {"trackerd_logs", "trackerd"},
	{"updater_logs", "updater"},
}

// newerDefaults are subscriptions that only the newest versions have from the factory.
var newerDefaults = [][2]string{{"audit_logs", "audit"}}

// DefaultSubscriptions returns the factory subscriptions of version v (logs.md 1.4), sorted by
// name.
func DefaultSubscriptions(v product.Version) []Subscription {
	list := make([]Subscription, 0, len(defaults)+len(newerDefaults))
	for _, d := range slices.Concat(defaults, newerDefaults) {
		k := Type(d[1]).Spec()
		if v.Before(k.Since) {
			continue
		}
		s := NewSubscription(d[0], k)
		if s.Name == "error_logs" { // the mail log's critical lines
			s.Level, s.File = Critical, s.Name
		}
		list = append(list, s)
	}
	slices.SortFunc(list, compareNames)
	return list
}

// newestDefaults returns the factory subscriptions of the newest versions. They must not be changed.
var newestDefaults = sync.OnceValue(func() []Subscription {
	return DefaultSubscriptions(newestVersion)
})

// shared returns a pointer to a subscription equal to s that must not be changed. Most subscriptions
// are defaults, which all appliances of a process share.
func (s Subscription) shared() *Subscription {
	defaults := newestDefaults()
	if i := slices.Index(defaults, s); i >= 0 {
		return &defaults[i]
	}
	return &s
}

// compareNames orders subscriptions by name, capital and small letters alike.
func compareNames(a, b Subscription) int {
	return cmp.Or(strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)),
		strings.Compare(a.Name, b.Name))
}

// newestVersion is later than every version in which something was introduced.
var newestVersion = product.Version{Major: 1 << 20}

// SetFactory sets the factory configuration of f to the subscriptions of version v.
func SetFactory(f *config.Factory, v product.Version) {
	Section.SetFactory(f, Subscriptions{List: DefaultSubscriptions(v)})
}

// Find returns a pointer to the subscription in the list that has the given name, or nil.
func (v *Subscriptions) Find(name string) *Subscription {
	i := slices.IndexFunc(v.List, func(s Subscription) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &v.List[i]
}

// BounceBytes returns how much of a bounced message is logged: the most that a subscription asks
// for.
func (v Subscriptions) BounceBytes() (most int) {
	for i := range v.List {
		if v.List[i].Type.Spec().Bounces {
			most = max(most, v.List[i].BounceBytes)
		}
	}
	return most
}

// Put adds s, or replaces the subscription of the same name.
func (v *Subscriptions) Put(s Subscription) {
	if old := v.Find(s.Name); old != nil {
		*old = s
		return
	}
	v.List = append(v.List, s)
	slices.SortFunc(v.List, compareNames)
}

// Check returns nil, or a refusal that says what is wrong with the subscriptions.
func (v Subscriptions) Check() error {
	if len(v.List) > maxSubscriptions {
		return refusal.Newf("There are more than %d log subscriptions.", maxSubscriptions)
	}
	seen := map[string]bool{}
	for _, s := range v.List {
		if low := strings.ToLower(s.Name); seen[low] {
			return refusal.Newf("Two log subscriptions are named %s.", s.Name)
		} else {
			seen[low] = true
		}
		if err := s.Check(); err != nil {
			return refusal.Newf("The log subscription %s: %v", s.Name, err)
		}
	}
	return nil
}

// reservedNames are directories of the file area that belong to other parts of the appliance.
var reservedNames = []string{
	"configuration", "diagnostic", "captures", "mfm", "periodic_reports", "log",
}

// nameRule is the rule of names that isName checks.
const nameRule = "letters, digits, and the characters _ - and ., " +
	"and begin with a letter or a digit."

// CheckName returns nil, or a refusal that says what is wrong with the name of a
// subscription, which is also the name of its directory and its tag.
func CheckName(name string) error {
	switch {
	case name == "":
		return refusal.New("A name is required.")
	case len(name) > 64:
		return refusal.New("The name must have at most 64 characters.")
	case !isName(name):
		return refusal.New("The name must consist of " + nameRule)
	case slices.Contains(reservedNames, strings.ToLower(name)):
		return refusal.Newf("The name %s is reserved.", name)
	}
	return nil
}

// CheckFile returns nil, or a refusal that says what is wrong with a name for log files.
func CheckFile(name string) error {
	if name == "" || len(name) > 64 || !isName(name) {
		return refusal.New("The file name must consist of 1 to 64 " + nameRule)
	}
	return nil
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '_' && c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}

// Check returns nil, or a refusal that says what is wrong with s.
func (s Subscription) Check() error {
	k := s.Type.Spec()
	if k.Title == "" {
		return refusal.Newf("There is no log type %q.", s.Type)
	}
	for _, err := range []error{CheckName(s.Name), CheckFile(s.File)} {
		if err != nil {
			return err
		}
	}
	switch {
	case s.Level < Critical || s.Level > Trace:
		return refusal.Newf("The level must be from %d to %d.", Critical, Trace)
	case s.MaxSize < MinSize || s.MaxSize > MaxSize:
		return refusal.Newf("The maximum file size must be from %d to %d bytes.",
			int64(MinSize), int64(MaxSize))
	case s.MaxFiles < 1 || s.MaxFiles > MaxFiles:
		return refusal.Newf("The number of files must be from 1 to %d.", MaxFiles)
	case s.BounceBytes < 0 || s.BounceBytes > MaxBounceBytes:
		return refusal.Newf("The number of bytes of a bounced message must be from 0 to %d.",
			MaxBounceBytes)
	case s.DebugHost != "" && (s.DebugSessions < 1 || s.DebugSessions > MaxDebugSessions):
		return refusal.Newf("The number of SMTP sessions must be from 1 to %d.", MaxDebugSessions)
	case s.DebugHost != "" && s.Type == DomainDebug && CheckDebugDomain(s.DebugHost) != nil:
		return CheckDebugDomain(s.DebugHost)
	case s.DebugHost != "" && s.Type == InjectionDebug && CheckDebugClient(s.DebugHost) != nil:
		return CheckDebugClient(s.DebugHost)
	case s.Method != Manual && s.Method != Syslog && !s.Method.Uploads():
		return refusal.Newf("There is no retrieval method %q.", s.Method)
	}
	if err := s.checkSchedule(); err != nil {
		return err
	}
	switch {
	case s.Method == Syslog:
		return s.Push.check(k)
	case s.Method.Uploads():
		return s.Remote.check()
	}
	return nil
}

func (s Subscription) checkSchedule() error {
	switch s.Schedule {
	case NoSchedule:
		return nil
	case Interval:
		if s.IntervalSeconds < MinInterval || s.IntervalSeconds > MaxInterval {
			return refusal.Newf("The time between roll-overs must be from %d to %d seconds.",
				MinInterval, MaxInterval)
		}
		return nil
	case Weekly:
		if _, ok := s.Day.day(); !ok {
			return refusal.Newf("There is no day of the week called %q.", string(s.Day))
		}
		return CheckTimeOfDay(s.TimeOfDay)
	case Daily:
		return CheckTimeOfDay(s.TimeOfDay)
	}
	return refusal.Newf("There is no roll-over %q.", string(s.Schedule))
}

// CheckTimeOfDay returns nil, or a refusal that says what is wrong with a time of day.
func CheckTimeOfDay(s string) error {
	if _, err := time.Parse("15:04", s); err != nil {
		return refusal.New("The time must be given as HH:MM, from 00:00 to 23:59.")
	}
	return nil
}

// Weekdays returns the days of the week, Monday first.
func Weekdays() []Weekday {
	return []Weekday{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}
}

func (d Weekday) day() (time.Weekday, bool) {
	i := slices.Index(Weekdays(), d)
	return time.Weekday((i + 1) % 7), i >= 0
}

func (p SyslogPush) check(k TypeSpec) error {
	switch {
	case k.Facility == "":
		return refusal.Newf("%s cannot be pushed to a syslog server.", k.Title)
	case CheckHost(p.Host) != nil:
		return CheckHost(p.Host)
	case p.Port == 0:
		return refusal.New("The port of the syslog server must be from 1 to 65535.")
	case p.Protocol != "udp" && p.Protocol != "tcp":
		return refusal.New("The protocol of a syslog push is udp or tcp.")
	case !slices.Contains(syslog.Facilities(), p.Facility):
		return refusal.Newf("There is no syslog facility %q.", p.Facility)
	case p.Tag != "" && CheckTag(p.Tag) != nil:
		return CheckTag(p.Tag)
	case p.TLS && p.Protocol != "tcp":
		return refusal.New("TLS requires TCP.")
	case p.Buffer != 0 && (p.Buffer < MinBuffer || p.Buffer > MaxBuffer):
		return refusal.Newf("The disk buffer must be from %d to %d bytes, or 0 for none.",
			int64(MinBuffer), int64(MaxBuffer))
	}
	lowest, highest := p.MessageSizeLimits()
	if p.MaxMessage != 0 && (p.MaxMessage < lowest || p.MaxMessage > highest) {
		return refusal.Newf("The maximum message size must be from %d to %d bytes.",
			lowest, highest)
	}
	return nil
}

// CheckTag returns nil, or a refusal that says what is wrong with the tag of pushed lines.
func CheckTag(tag string) error {
	if len(tag) > 64 || !isName(tag) {
		return refusal.New("The tag must consist of 1 to 64 " + nameRule)
	}
	return nil
}

// MessageSizeLimits returns the bounds that an administrator can choose for the size of a
// message, which depend on the protocol.
func (p SyslogPush) MessageSizeLimits() (lowest, highest int) {
	if p.Protocol == "udp" {
		return 1024, 9216
	}
	return 1024, 65535
}

// CheckHost returns nil, or a refusal that says what is wrong with the name or address of a
// server.
func CheckHost(host string) error {
	if host == "" {
		return refusal.New("A host name or an IP address is required.")
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	bad := len(host) > 253
	for _, l := range labels {
		bad = bad || l == "" || len(l) > 63 || strings.HasPrefix(l, "-") ||
			strings.HasSuffix(l, "-")
		bad = bad || strings.ContainsFunc(l, func(c rune) bool {
			return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
				c == '-' || c == '_')
		})
	}
	if bad || isDigits(labels[len(labels)-1]) {
		return refusal.Newf("%q is neither a host name nor an IP address.", host)
	}
	return nil
}

func isDigits(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c < '0' || c > '9' })
}

// Check returns nil, or a refusal that says what is wrong with s.
func (s Settings) Check() error {
	if s.MetricsInterval < 1 || s.MetricsInterval > MaxMetricsInterval {
		return refusal.Newf("The system metrics frequency must be from 1 to %d seconds.",
			MaxMetricsInterval)
	}
	for _, h := range s.Headers {
		if err := CheckHeader(h); err != nil {
			return err
		}
	}
	return nil
}

// CheckHeader returns nil, or a refusal that says what is wrong with the name of a message
// header (RFC 5322, 2.2).
func CheckHeader(name string) error {
	invalid := func(c rune) bool { return c <= ' ' || c > '~' || c == ':' }
	if name == "" || len(name) > 76 || strings.ContainsFunc(name, invalid) {
		return refusal.Newf("%q is not the name of a message header.", name)
	}
	return nil
}

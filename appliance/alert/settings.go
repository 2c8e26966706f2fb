package alert

import (
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/pattern"
	"github.com/esasim/esasim/appliance/refusal"
)

// A Class is the part of the appliance that an alert is about.
type Class string

// The classes (logs.md 4.1).
const (
	System    Class = "System"
	Hardware  Class = "Hardware"
	Updater   Class = "Updater"
	Outbreak  Class = "Outbreak Filters"
	AntiVirus Class = "Anti-Virus"
	AntiSpam  Class = "Anti-Spam"
	Harvest   Class = "Directory Harvest Attack Prevention"
)

// Classes returns all classes in the order of menus.
func Classes() []Class {
	return []Class{System, Hardware, Updater, Outbreak, AntiVirus, AntiSpam, Harvest}
}

// A Severity is how urgent an alert is.
type Severity string

// The severities, the most severe first.
const (
	Critical    Severity = "Critical"
	Warning     Severity = "Warning"
	Information Severity = "Information"
)

// Severities returns all severities, the most severe first.
func Severities() []Severity { return []Severity{Critical, Warning, Information} }

// ShortName returns the severity's name in subjects and in the log, such as "Info".
func (s Severity) ShortName() string {
	if s == Information {
		return "Info"
	}
	return string(s)
}

// A Recipient gets the alerts of some classes and severities.
type Recipient struct {
	Address    string     `xml:"email_address"`
	Classes    []Class    `xml:"alert_class"`    // empty: all
	Severities []Severity `xml:"alert_severity"` // empty: all
}

// Wants reports whether r gets alerts of the given class and severity.
func (r Recipient) Wants(c Class, s Severity) bool {
	return (len(r.Classes) == 0 || slices.Contains(r.Classes, c)) &&
		(len(r.Severities) == 0 || slices.Contains(r.Severities, s))
}

// Settings is the value of Section.
type Settings struct {
	Recipients      []Recipient `xml:"alert_recipient"`
	From            string      `xml:"alert_from_address"`     // "": alert@ and the host name
	InitialInterval int         `xml:"alert_initial_interval"` // seconds; 0 holds nothing back
	MaximumInterval int         `xml:"alert_maximum_interval"` // seconds
	StoredAlerts    int         `xml:"alerts_stored"`          // how many displayalerts can show

	AutoSupport bool `xml:"autosupport_enabled"`
	// AutoSupportCopy means that recipients of System/Information alerts get a copy of weekly
	// reports.
	AutoSupportCopy bool `xml:"autosupport_copy"`

	// SubjectLength is how many characters of an alert's text are in the subject.
	SubjectLength int `xml:"alert_subject_length"`
}

// Sender returns the address that the appliance's own messages come from. host is its name.
func (s Settings) Sender(host string) string {
	if s.From == "" {
		return "alert@" + host
	}
	return s.From
}

// VendorAddress is the address that AutoSupport sends its messages to.
const VendorAddress = "alerts@ironport.com"

// Bounds of settings.
const (
	MaxInterval      = 86400 // seconds
	MaxStored        = 1000
	MaxRecipients    = 100
	maxSubjectLength = 500
)

// DefaultSettings returns the factory settings, which have no recipients.
func DefaultSettings() Settings {
	return Settings{
		InitialInterval: 300, MaximumInterval: 3600, StoredAlerts: 50, AutoSupportCopy: true,
		SubjectLength: 60,
	}
}

// Section holds who gets which alerts.
var Section = config.Define("alerts", DefaultSettings(),
	func(s Settings, _ *config.Config) error { return s.Check() }, config.In(config.Alerts, 10))

// Find returns a pointer to the recipient with the given address, in any case, or nil.
func (s *Settings) Find(address string) *Recipient {
	i := slices.IndexFunc(s.Recipients,
		func(r Recipient) bool { return strings.EqualFold(r.Address, address) })
	if i < 0 {
		return nil
	}
	return &s.Recipients[i]
}

// Check returns nil, or a refusal that says what is wrong with the settings.
func (s Settings) Check() error {
	if len(s.Recipients) > MaxRecipients {
		return refusal.Newf("There are more than %d alert recipients.", MaxRecipients)
	}
	seen := map[string]bool{}
	for _, r := range s.Recipients {
		if err := r.check(); err != nil {
			return err
		}
		if low := strings.ToLower(r.Address); seen[low] {
			return refusal.Newf("The alert recipient %s is listed twice.", r.Address)
		} else {
			seen[low] = true
		}
	}
	if s.From != "" {
		if err := CheckAddress(s.From); err != nil {
			return err
		}
	}
	switch {
	case s.InitialInterval < 0 || s.InitialInterval > MaxInterval:
		return refusal.Newf("The initial number of seconds before a duplicate alert "+
			"must be from 0 to %d.", MaxInterval)
	case s.MaximumInterval < s.InitialInterval || s.MaximumInterval > MaxInterval:
		return refusal.Newf("The maximum number of seconds before a duplicate alert "+
			"must be from the initial number to %d.", MaxInterval)
	case s.StoredAlerts < 1 || s.StoredAlerts > MaxStored:
		return refusal.Newf("The number of alerts that are stored must be from 1 to %d.", MaxStored)
	case s.SubjectLength < 1 || s.SubjectLength > maxSubjectLength:
		return refusal.Newf("The length of the text in subjects must be from 1 to %d characters.",
			maxSubjectLength)
	}
	return nil
}

func (r Recipient) check() error {
	if err := CheckAddress(r.Address); err != nil {
		return err
	}
	for _, c := range r.Classes {
		if !slices.Contains(Classes(), c) {
			return refusal.Newf("There is no alert class %q.", string(c))
		}
	}
	for _, s := range r.Severities {
		if !slices.Contains(Severities(), s) {
			return refusal.Newf("There is no alert severity %q.", string(s))
		}
	}
	return nil
}

var mailbox = pattern.New(`^[A-Za-z0-9!#$%&'*+/=?^_{|}~.` + "`" +
	`-]{1,64}@([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}$`)

// CheckAddress returns nil, or a refusal that says what is wrong with a mail address.
func CheckAddress(s string) error {
	if len(s) > 254 || !mailbox().MatchString(s) {
		return refusal.New("The value must be a mail address such as user@example.com.")
	}
	return nil
}

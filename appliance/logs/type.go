package logs

import (
	"slices"

	"github.com/esasim/esasim/appliance/product"
)

// A Type names the part of the appliance that writes a log. Its value is the name of the type in
// a configuration file.
type Type string

// The types that parts of this appliance write to.
const (
	Mail           Type = "mail"
	Bounce         Type = "bounce"
	Delivery       Type = "delivery"
	DomainDebug    Type = "domain_debug"
	InjectionDebug Type = "injection_debug"
	Status         Type = "status"
	System         Type = "system"
	CLI            Type = "cli"
	FTP            Type = "ftpd"
	NTP            Type = "sntpd"
	GUI            Type = "gui"
	Authentication Type = "authentication"
	Audit          Type = "audit"
	ConfigHistory  Type = "config_history"
)

// A TypeSpec describes a Type.
type TypeSpec struct {
	Type     Type
	Title    string // as dialogues list it
	File     string // default of a subscription's file name
	Facility string // default for syslog; "" if the type cannot be pushed to a syslog server
	Format   Format
	Since    product.Version // the first version that has the type
	Bounces  bool            // Subscription.BounceBytes applies
	Debugs   bool            // Subscription.DebugHost and DebugSessions apply
}

// A Format is the form of a log's files.
type Format int

// The formats.
const (
	Lines     Format = iota // lines of text after the header
	Documents               // each file is one document, such as a configuration
	Binary                  // records without header and times, which cannot be shown line by line
)

var (
	since9  = product.Version{Major: 9}
	since11 = product.Version{Major: 11}
	since12 = product.Version{Major: 12}
	since13 = product.Version{Major: 13}
	since14 = product.Version{Major: 14}
	since16 = product.Version{Major: 16}
)

// types are in the order of the vendor's guide (logs.md 1.4), which logconfig lists them in.
var types = []TypeSpec{
	{Type: Mail, Title: "IronPort Text Mail Logs", File: "mail_logs", Facility: "mail"},
	{Type: "qmail", Title: "qmail Format Mail Logs", File: "qmail", Facility: "mail"},
	{Type: Delivery, Title: "Delivery Logs", File: "delivery", Format: Binary},
	{Type: Bounce, Title: "Bounce Logs", File: "bounces", Bounces: true},
	{Type: Status, Title: "Status Logs", File: "status", Facility: "mail"},
	{Type: DomainDebug, Title: "Domain Debug Logs", File: "domain_debug", Facility: "mail",
		Debugs: true},
	{Type: InjectionDebug, Title: "Injection Debug Logs", File: "injection_debug",
		Facility: "mail", Debugs: true},
	{Type: System, Title: "System Logs", File: "system_logs", Facility: "daemon"},
	{Type: CLI, Title: "CLI Audit Logs", File: "cli_logs", Facility: "auth"},
	{Type: FTP, Title: "FTP Server Logs", File: "ftpd_logs", Facility: "ftp"},
	{Type: GUI, Title: "HTTP Logs", File: "gui_logs", Facility: "daemon"},
	{Type: NTP, Title: "NTP Logs", File: "sntpd_logs", Facility: "ntp"},
	{Type: "ldap_debug", Title: "LDAP Debug Logs", File: "ldap_debug", Facility: "daemon"},
	{Type: "antispam", Title: "Anti-Spam Logs", File: "antispam", Facility: "mail"},
	{Type: "asarchive", Title: "Anti-Spam Archive", File: "asarchive", Format: Binary},
	{Type: "antivirus", Title: "Anti-Virus Logs", File: "antivirus", Facility: "mail"},
	{Type: "avarchive", Title: "Anti-Virus Archive", File: "avarchive", Format: Binary},
	{Type: "scanning", Title: "Scanning Logs", File: "scanning", Facility: "mail"},
	{Type: "euq", Title: "Spam Quarantine Logs", File: "euq_logs", Facility: "mail"},
	{Type: "euqgui", Title: "Spam Quarantine GUI Logs", File: "euqgui_logs", Facility: "daemon"},
	{Type: "smtp_conversation", Title: "SMTP Conversation Logs", File: "smtp_conversation",
		Facility: "mail"},
	{Type: "slbld", Title: "Safe/Block Lists Logs", File: "slbld_logs", Facility: "mail"},
	{Type: "reportd", Title: "Reporting Logs", File: "reportd_logs", Facility: "daemon"},
	{Type: "reportqueryd", Title: "Reporting Query Logs", File: "reportqueryd_logs",
		Facility: "daemon"},
	{Type: "updater", Title: "Updater Logs", File: "updater_logs", Facility: "daemon"},
	{Type: "trackerd", Title: "Tracking Logs", File: "trackerd_logs", Facility: "daemon"},
	{Type: Authentication, Title: "Authentication Logs", File: "authentication"},
	{Type: ConfigHistory, Title: "Configuration History Logs", File: "config_history",
		Format: Documents},
	{Type: "encryption", Title: "Encryption Logs", File: "encryption", Facility: "mail"},
	{Type: "amp", Title: "AMP Engine Logs", File: "amp", Facility: "mail",
		Since: product.Version{Major: 8, Minor: 5}},
	{Type: "content_scanner", Title: "Content Scanner Logs", File: "content_scanner",
		Facility: "mail", Since: since11},
	{Type: "graymail", Title: "Graymail Engine Logs", File: "graymail", Facility: "mail",
		Since: since9},
	{Type: "url_rep_client", Title: "URL Reputation Logs", File: "url_rep_client", Facility: "mail",
		Since: since11},
	{Type: "api", Title: "API Logs", File: "api", Facility: "daemon", Since: since9},
	{Type: "consolidated_event", Title: "Consolidated Event Logs", File: "consolidated_event",
		Facility: "mail", Since: since13},
	{Type: Audit, Title: "Audit Logs", File: "audit_logs", Facility: "auth", Since: since14},
	{Type: "service_logs", Title: "Service Logs", File: "service_logs", Facility: "daemon",
		Since: since12},
	{Type: "smartlicense", Title: "Smart Licensing Logs", File: "smartlicense", Facility: "daemon",
		Since: since12},
}

// Types returns the types that a version of the product has, in the order of the vendor's guide.
func Types(v product.Version) []TypeSpec {
	return slices.DeleteFunc(slices.Clone(types),
		func(k TypeSpec) bool { return v.Before(k.Since) })
}

// Spec returns the description of t. For an unknown type it returns one without a title.
func (t Type) Spec() TypeSpec {
	i := slices.IndexFunc(types, func(k TypeSpec) bool { return k.Type == t })
	if i < 0 {
		return TypeSpec{}
	}
	return types[i]
}

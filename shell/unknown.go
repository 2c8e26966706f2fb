package shell

import (
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
)

// UnknownCommand returns the refusal of a word that is no command of version v. If the product has
// a command of that name, the text says that the command is not simulated: the text for unknown
// commands would be false.
func UnknownCommand(v product.Version, word string) error {
	name := strings.ToLower(word)
	switch {
	case slices.ContainsFunc(unsimulated, func(c unsimulatedCommand) bool {
		return !v.Before(c.since) && slices.Contains(strings.Fields(c.names), name)
	}):
		return refusal.Newf("\nThe command %s exists in AsyncOS, but it is not simulated here. "+
			"Type help for a list of the commands that are.", name)
	case v.Before(product.Version{Major: 7}):
		return refusal.Newf("\nUnknown command: %s", word)
	}
	return refusal.Newf("\nUnknown command or missing feature key: %s", word)
}

// An unsimulatedCommand is a set of commands that every appliance of a version has.
type unsimulatedCommand struct {
	since product.Version // the zero Version means all versions
	names string          // with blanks between them
}

// unsimulated are the commands of cli.md 7 that this program does not have. Commands that need a
// feature key (anti-spam, anti-virus, outbreak filters, graymail, DLP, encryption, clusters) or a
// virtual appliance's license are left out: on an appliance without the key or the license, the
// text for unknown commands is the real one. Clients rely on it.
//
// All versions in this table, and the names of version 12, are a convention: public references
// list the commands of a version and not when they were added. The one exception is
// threatfeedconfig, as the vendor's guide "What's New in AsyncOS 12.5" names external threat feeds.
// If a version is too low, a command that does not exist yet is said not to be simulated.
//
// A name that the program's own catalog has in another version is harmless here: the catalog is
// searched first, and tcpdump and packetcapture are not in the table.
var unsimulated = []unsimulatedCommand{
	{names: "featurekey featurekeyconfig upgrade revert supportrequest techsupport" +
		" addressconfig generalconfig updateconfig updatenow trace credits"},
	{names: "smtpauthconfig localeconfig" +
		" altsrchost bvconfig destqueue unsubscribe" +
		" tarpit"},
	{names: "addresslistconfig dictionaryconfig exceptionconfig filters policyconfig" +
		" quarantineconfig scanconfig stripheaders textconfig incomingrelayconfig slblconfig" +
		" domainkeysconfig dnshostprefs dnslistconfig ldapconfig ldapflush ldaptest" +
		" sievechar senderbaseconfig snmpconfig setcorewatch"},
	{since: product.Version{Major: 7}, names: "reportingconfig trackingconfig" +
		" callaheadconfig contentscannerstatus contentscannerupdate ipcheck tzupdate" +
		" repengstatus repengupdate fipsconfig diskquotaconfig wipedata" +
		" supportrequeststatus supportrequestupdate"},
	{since: product.Version{Major: 8}, names: "dmarcconfig"},
	{since: product.Version{Major: 8, Minor: 5}, names: "websecurityconfig" +
		" websecurityadvancedconfig websecuritydiagnostics webcacheflush urllistconfig" +
		" aggregatorconfig ecconfig ecstatus ecupdate sslv3config"},
	{since: product.Version{Major: 9}, names: "smimeconfig healthcheck healthconfig" +
		" verdictcacheconfig fulldatasharing"},
	{since: product.Version{Major: 12}, names: "license_smart sdrconfig threatfeedconfig" +
		" daneverify samlconfig trailblazerconfig"},
}

package logs

import (
	"strings"
	"unicode"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/logs/upload"
	"github.com/esasim/esasim/appliance/refusal"
)

// HostKeys holds the keys by which SSH servers are known.
var HostKeys = config.Define("ssh_known_hosts", KnownHosts{},
	func(v KnownHosts, _ *config.Config) error { return v.Check() }, config.In(config.Logs, 30))

// KnownHosts is the value of HostKeys.
type KnownHosts struct {
	List []KnownHost `xml:"known_host"`
}

// A KnownHost is one public key of an SSH server.
type KnownHost struct {
	Host string `xml:"hostname"` // name or address, as UploadTarget.Host
	Port uint16 `xml:"port"`
	Key  string `xml:"key"` // "ssh-ed25519 AAAA...", as upload.ParseKey returns it
}

// DefaultUploadInterval is the number of seconds that logconfig suggests for files that are sent
// to a server: how long a file waits at most unless it is full before.
const DefaultUploadInterval = 3600

const maxHostKeys = 1000

// Add adds k unless the list has it already.
func (v *KnownHosts) Add(k KnownHost) {
	for _, old := range v.List {
		if old == k {
			return
		}
	}
	v.List = append(v.List, k)
}

// Check returns nil, or a refusal that says what is wrong with the keys.
func (v KnownHosts) Check() error {
	if len(v.List) > maxHostKeys {
		return refusal.Newf("There are more than %d host keys.", maxHostKeys)
	}
	for _, k := range v.List {
		if err := CheckHost(k.Host); err != nil {
			return err
		}
		if k.Port == 0 {
			return refusal.New("The port of an SSH server must be from 1 to 65535.")
		}
		if canonical, _, err := upload.ParseKey(k.Key); err != nil || canonical != k.Key {
			return refusal.Newf("The host key of %s is not an SSH public key.", k.Host)
		}
	}
	return nil
}

func (r UploadTarget) check() error {
	if err := CheckHost(r.Host); err != nil {
		return err
	}
	if err := CheckUser(r.User); err != nil {
		return err
	}
	if strings.ContainsFunc(r.Password, unicode.IsControl) {
		return refusal.New("The passphrase must not have control characters.")
	}
	if r.Dir == "" {
		return nil
	}
	return CheckRemoteDir(r.Dir)
}

// CheckUser returns nil, or a refusal that says what is wrong with a user name for another
// machine.
func CheckUser(name string) error {
	invalid := func(c rune) bool { return unicode.IsControl(c) || unicode.IsSpace(c) }
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, invalid) {
		return refusal.New("The user name must have 1 to 64 characters, and no blanks.")
	}
	return nil
}

// CheckRemoteDir returns nil, or a refusal that says what is wrong with the name of a directory
// on another machine.
func CheckRemoteDir(dir string) error {
	if dir == "" || len(dir) > 1024 || strings.ContainsFunc(dir, unicode.IsControl) {
		return refusal.New("The directory must have 1 to 1024 characters, and no control " +
			"characters.")
	}
	return nil
}

package logs

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/logs/upload"
)

// HostKeys are the keys by which SSH servers are known.
var HostKeys = config.Define("ssh_known_hosts", KnownHosts{},
	func(v KnownHosts, _ *config.Config) error { return v.Check() }, config.In(config.Logs, 30))

// KnownHosts is the value of HostKeys.
type KnownHosts struct {
	List []KnownHost `xml:"known_host"`
}

// A KnownHost is a key of a server.
type KnownHost struct {
	Host string `xml:"hostname"` // as subscriptions have it
	Port uint16 `xml:"port"`
	Key  string `xml:"key"` // "ssh-ed25519 AAAA...", as upload.ParseKey returns it
}

// DefaultWait is how long files wait for being sent, in seconds, unless they are full
// before; logconfig begins with it.
const DefaultUploadInterval = 3600

const maxHostKeys = 1000

// Add adds k unless it is there already.
func (v *KnownHosts) Add(k KnownHost) {
	for _, old := range v.List {
		if old == k {
			return
		}
	}
	v.List = append(v.List, k)
}

// Check says what is wrong with the keys, in a sentence for the administrator.
func (v KnownHosts) Check() error {
	if len(v.List) > maxHostKeys {
		return fmt.Errorf("There are more than %d host keys.", maxHostKeys)
	}
	for _, k := range v.List {
		if err := CheckHost(k.Host); err != nil {
			return err
		}
		if k.Port == 0 {
			return errors.New("The port of an SSH server must be from 1 to 65535.")
		}
		if canonical, _, err := upload.ParseKey(k.Key); err != nil || canonical != k.Key {
			return fmt.Errorf("The host key of %s is not a public key of SSH.", k.Host)
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
		return errors.New("The passphrase must not have control characters.")
	}
	if r.Dir == "" {
		return nil
	}
	return CheckRemoteDir(r.Dir)
}

// CheckUser says what is wrong with the name of a user on another machine.
func CheckUser(name string) error {
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, func(c rune) bool { return unicode.IsControl(c) || unicode.IsSpace(c) }) {
		return errors.New("The user name must have 1 to 64 characters, and no blanks.")
	}
	return nil
}

// CheckRemoteDir says what is wrong with a directory on another machine.
func CheckRemoteDir(dir string) error {
	if dir == "" || len(dir) > 1024 || strings.ContainsFunc(dir, unicode.IsControl) {
		return errors.New("The directory must have 1 to 1024 characters, and no control characters.")
	}
	return nil
}

package users

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/config"
)

// A Role is what an account may do.
type Role string

// The roles of AsyncOS.
const (
	Administrator    Role = "Administrator"
	Operator         Role = "Operator"
	ReadOnlyOperator Role = "Read-Only Operator"
	Guest            Role = "Guest"
	Technician       Role = "Technician"
	HelpDesk         Role = "Help Desk User"
)

// Roles lists all of them, most powerful first.
func Roles() []Role {
	return []Role{Administrator, Operator, ReadOnlyOperator, Technician, HelpDesk, Guest}
}

// Groups are the names of what the role includes, its own first, as whoami shows
// them.
func (r Role) Groups() []string {
	switch r {
	case Administrator:
		return []string{"admin", "operators", "config", "log", "guest"}
	case Operator:
		return []string{"operators", "config", "log", "guest"}
	case ReadOnlyOperator:
		return []string{"readonly", "log", "guest"}
	case Technician:
		return []string{"technician", "guest"}
	case HelpDesk:
		return []string{"helpdesk", "guest"}
	}
	return []string{"guest"}
}

// String is the role's name.
func (r Role) String() string { return string(r) }

// An Account is one administrator's.
type Account struct {
	Name     string   `xml:"username"`
	FullName string   `xml:"fullname"`
	Role     Role     `xml:"role"`
	Hash     string   `xml:"passphrase" secret:"hash"` // made by Hash
	Locked   bool     `xml:"locked"`
	Keys     []string `xml:"keys>key"` // as ParseKey writes them
}

// Accounts is the value of Section.
type Accounts struct {
	List []Account `xml:"user"`
}

// Find returns the account called name, for reading or changing in place; nil if
// there is none.
func (v *Accounts) Find(name string) *Account {
	i := slices.IndexFunc(v.List, func(x Account) bool { return x.Name == name })
	if i < 0 {
		return nil
	}
	return &v.List[i]
}

// The account that every appliance leaves the factory with.
const (
	FactoryName       = "admin"
	FactoryPassphrase = "ironport"
	factoryHash       = "$2a$10$nEgk5MLJMmbko66wbLEYNedQ0TPLjXBxTNpXzzDtwI3ZKXCkojNT6"
)

// Section is where the accounts are configured.
var Section = config.Define("users", Accounts{List: []Account{{
	Name: FactoryName, FullName: "Administrator", Role: Administrator, Hash: factoryHash,
}}}, func(a Accounts, _ *config.Config) error { return a.Check() }, config.In(config.Access, 10))

// maxAccounts bounds what a loaded file can hold.
const maxAccounts = 1000

// Check says what is wrong with the accounts, in a sentence for the administrator.
func (v Accounts) Check() error {
	if len(v.List) > maxAccounts {
		return fmt.Errorf("There are more than %d accounts.", maxAccounts)
	}
	seen := map[string]bool{}
	usable := false
	for _, a := range v.List {
		if seen[a.Name] {
			return fmt.Errorf("Two accounts are named %s.", a.Name)
		}
		seen[a.Name] = true
		if err := a.check(); err != nil {
			return err
		}
		usable = usable || a.Role == Administrator && !a.Locked
	}
	switch admin := v.Find(FactoryName); {
	case admin == nil:
		return fmt.Errorf("The account %s cannot be removed.", FactoryName)
	case admin.Role != Administrator:
		return fmt.Errorf("The account %s must be an administrator.", FactoryName)
	case !usable:
		return errors.New("At least one administrator must not be locked.")
	}
	return nil
}

func (a Account) check() error {
	if err := CheckName(a.Name); err != nil {
		return err
	}
	if err := CheckFullName(a.FullName); err != nil {
		return err
	}
	if !slices.Contains(Roles(), a.Role) {
		return fmt.Errorf("The account %s has an unknown role: %q.", a.Name, a.Role)
	}
	// A hash of any cost may come in a file; verifying some would take days.
	if cost, err := bcrypt.Cost([]byte(a.Hash)); err != nil || cost > hashCost+2 {
		return fmt.Errorf("The passphrase of the account %s is not in a form that this appliance can verify.", a.Name)
	}
	for _, k := range a.Keys {
		if _, err := ParseKey(k); err != nil {
			return fmt.Errorf("A key of the account %s: %w", a.Name, err)
		}
	}
	return nil
}

// maxName is how long a name may be.
const maxName = 32

// CheckName says what is wrong with a name for an account, in a sentence for the
// administrator.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("A user name is required.")
	case len(name) > maxName:
		return fmt.Errorf("The user name must not be longer than %d characters.", maxName)
	case name == "operator" || name == "root":
		return fmt.Errorf("The user name %s is reserved.", name)
	case !(name[0] >= 'a' && name[0] <= 'z') || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "":
		return errors.New("The user name must begin with a lower-case letter and consist of lower-case letters, digits, hyphens, underscores and dots.")
	}
	return nil
}

// CheckFullName says what is wrong with a person's name.
func CheckFullName(name string) error {
	switch {
	case len(name) > 128:
		return errors.New("The full name must not be longer than 128 characters.")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f || r == '"' }):
		return errors.New("The full name must not contain control characters or quotation marks.")
	}
	return nil
}

// A Key is a public key that an account may log in with.
type Key struct {
	Line        string // in the form of an authorized_keys file
	Type        string // "ssh-ed25519"
	Fingerprint string // "SHA256:..."
	Comment     string
	wire        []byte
}

// ParseKey reads a line of an authorized_keys file. Its errors are sentences for
// the administrator.
func ParseKey(line string) (Key, error) {
	line = strings.TrimSpace(line)
	pub, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	switch {
	case err != nil:
		return Key{}, errors.New("This is not an SSH public key in OpenSSH's form: type, key, comment.")
	case len(strings.TrimSpace(string(rest))) > 0:
		return Key{}, errors.New("There is more than one key.")
	case len(options) > 0:
		return Key{}, errors.New("Options before a key are not supported.")
	case strings.ContainsFunc(comment, func(r rune) bool { return r < ' ' || r == utf8.RuneError }):
		return Key{}, errors.New("The comment of the key contains control characters.")
	}
	switch pub.Type() {
	case ssh.KeyAlgoRSA, ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
	default:
		return Key{}, fmt.Errorf("Keys of type %s are not supported.", pub.Type())
	}
	k := Key{
		Line:        strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub))),
		Type:        pub.Type(),
		Fingerprint: ssh.FingerprintSHA256(pub),
		Comment:     comment,
		wire:        pub.Marshal(),
	}
	if comment != "" {
		k.Line += " " + comment
	}
	return k, nil
}

package users

import (
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/refusal"
)

// A Role determines what an account may do.
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

// Roles returns all roles, the most powerful first.
func Roles() []Role {
	return []Role{Administrator, Operator, ReadOnlyOperator, Technician, HelpDesk, Guest}
}

// Groups returns the names of the groups that the role belongs to, its own first, as whoami
// shows them.
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

// String returns the role's name.
func (r Role) String() string { return string(r) }

// An Account is a configured administrator.
type Account struct {
	Name     string   `xml:"username"`
	FullName string   `xml:"fullname"`
	Role     Role     `xml:"role"`
	Hash     string   `xml:"passphrase" secret:"hash"` // made by HashPassphrase
	Locked   bool     `xml:"locked"`
	Keys     []string `xml:"keys>key"` // each is the Line of a Key
}

// Accounts is the value of Section.
type Accounts struct {
	List []Account `xml:"user"`
}

// Find returns the account called name, which the caller may change in place. It returns nil if
// there is none.
func (v *Accounts) Find(name string) *Account {
	i := slices.IndexFunc(v.List, func(x Account) bool { return x.Name == name })
	if i < 0 {
		return nil
	}
	return &v.List[i]
}

// The account that a new appliance has.
const (
	FactoryName       = "admin"
	FactoryPassphrase = "ironport"
	factoryHash       = "$2a$10$nEgk5MLJMmbko66wbLEYNedQ0TPLjXBxTNpXzzDtwI3ZKXCkojNT6"
)

// Section is the section of the configuration that holds the accounts.
var Section = config.Define("users", Accounts{List: []Account{{
	Name: FactoryName, FullName: "Administrator", Role: Administrator, Hash: factoryHash,
}}}, func(a Accounts, _ *config.Config) error { return a.Check() }, config.In(config.Access, 10))

// maxAccounts limits the accounts that a loaded configuration file can bring.
const maxAccounts = 1000

// Check returns a refusal that names the first problem of the accounts, or nil if they may be
// committed.
func (v Accounts) Check() error {
	if len(v.List) > maxAccounts {
		return refusal.Newf("There are more than %d accounts.", maxAccounts)
	}
	seen := map[string]bool{}
	usable := false
	for _, a := range v.List {
		if seen[a.Name] {
			return refusal.Newf("Two accounts are named %s.", a.Name)
		}
		seen[a.Name] = true
		if err := a.check(); err != nil {
			return err
		}
		usable = usable || a.Role == Administrator && !a.Locked
	}
	switch admin := v.Find(FactoryName); {
	case admin == nil:
		return refusal.Newf("The account %s cannot be removed.", FactoryName)
	case admin.Role != Administrator:
		return refusal.Newf("The account %s must be an administrator.", FactoryName)
	case !usable:
		return refusal.New("At least one administrator must not be locked.")
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
		return refusal.Newf("The account %s has an unknown role: %q.", a.Name, a.Role)
	}
	// A configuration file may bring a hash of any cost. Verifying a costly one takes days.
	if cost, err := bcrypt.Cost([]byte(a.Hash)); err != nil || cost > hashCost+2 {
		return refusal.Newf("The passphrase of the account %s is not in a form "+
			"that this appliance can verify.", a.Name)
	}
	for _, k := range a.Keys {
		if _, err := ParseKey(k); err != nil {
			return refusal.Newf("A key of the account %s: %v", a.Name, err)
		}
	}
	return nil
}

const (
	maxName        = 32 // the largest length of a name
	nameCharacters = "abcdefghijklmnopqrstuvwxyz0123456789-_."
)

// CheckName returns a refusal if an account cannot have that name.
func CheckName(name string) error {
	switch {
	case name == "":
		return refusal.New("A user name is required.")
	case len(name) > maxName:
		return refusal.Newf("The user name must not be longer than %d characters.", maxName)
	case name == "operator" || name == "root":
		return refusal.Newf("The user name %s is reserved.", name)
	case name[0] < 'a' || name[0] > 'z' || strings.Trim(name, nameCharacters) != "":
		return refusal.New("The user name must begin with a lower-case letter and consist of " +
			"lower-case letters, digits, hyphens, underscores and dots.")
	}
	return nil
}

// CheckFullName returns a refusal if an account cannot have that full name.
func CheckFullName(name string) error {
	switch {
	case len(name) > 128:
		return refusal.New("The full name must not be longer than 128 characters.")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, isControlOrQuote):
		return refusal.New("The full name must not contain control characters or quotation marks.")
	}
	return nil
}

func isControlOrQuote(r rune) bool { return r < ' ' || r == 0x7f || r == '"' }

// A Key is a public key that an account may log in with.
type Key struct {
	Line        string // in the form of an authorized_keys file
	Type        string // "ssh-ed25519"
	Fingerprint string // "SHA256:..."
	Comment     string
	blob        []byte // as SSH transmits it
}

// ParseKey parses a line of an authorized_keys file. Its errors are refusals.
func ParseKey(line string) (Key, error) {
	line = strings.TrimSpace(line)
	pub, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	switch {
	case err != nil:
		return Key{}, refusal.New("This is not an SSH public key in OpenSSH's form: type, key, comment.")
	case len(strings.TrimSpace(string(rest))) > 0:
		return Key{}, refusal.New("There is more than one key.")
	case len(options) > 0:
		return Key{}, refusal.New("Options before a key are not supported.")
	case strings.ContainsFunc(comment, func(r rune) bool { return r < ' ' || r == utf8.RuneError }):
		return Key{}, refusal.New("The comment of the key contains control characters.")
	}
	switch pub.Type() {
	case ssh.KeyAlgoRSA, ssh.KeyAlgoED25519,
		ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
	default:
		return Key{}, refusal.Newf("Keys of type %s are not supported.", pub.Type())
	}
	k := Key{
		Line:        strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub))),
		Type:        pub.Type(),
		Fingerprint: ssh.FingerprintSHA256(pub),
		Comment:     comment,
		blob:        pub.Marshal(),
	}
	if comment != "" {
		k.Line += " " + comment
	}
	return k, nil
}

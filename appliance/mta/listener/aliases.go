package listener

import (
	"strings"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/pattern"
	"github.com/esasim/esasim/appliance/refusal"
)

// Aliases is the configuration section of the alias table.
var Aliases = config.Define("alias_table", AliasTable{},
	func(t AliasTable, _ *config.Config) error { return t.Check() }, config.In(config.Mail, 20))

// An AliasTable says to whom mail for some recipients goes instead. The first alias that matches a
// recipient counts.
type AliasTable struct {
	Contexts []AliasContext `xml:"alias_context"` // one without domains comes first
}

// An AliasContext has aliases for the users of some domains: a domain, or .domain for all below it.
// Without domains its aliases are global.
type AliasContext struct {
	Domains []string `xml:"domain"`
	Aliases []Alias  `xml:"alias"`
}

// An Alias stands for other recipients. A name is a user of any domain of the context, or
// user@domain. A global one may also be @domain or @.domain, which is that domain and all below it.
type Alias struct {
	Names []string `xml:"name"`
	// Targets are mail addresses, other aliases, or Discard. An alias without a domain is looked up
	// in the domain of the recipient.
	Targets []string `xml:"target"`
}

// Discard is the target that accepts mail for an alias and drops it.
const Discard = "/dev/null"

// Bounds of the alias table.
const (
	maxAliases       = 10_000
	maxAliasContexts = 1_000
	maxAliasKeys     = 200_000 // names of aliases, times the domains of their contexts
	maxAliasTargets  = 1_000   // of one alias
	maxAliasNesting  = 50      // aliases that lead to others
)

// Count returns the number of aliases.
func (t AliasTable) Count() (n int) {
	for _, c := range t.Contexts {
		n += len(c.Aliases)
	}
	return n
}

// Check returns a refusal that says what is wrong with the table.
func (t AliasTable) Check() error {
	if t.Count() > maxAliases || len(t.Contexts) > maxAliasContexts {
		return refusal.Newf("The alias table is too large: at most %d aliases in %d domain contexts are "+
			"possible.", maxAliases, maxAliasContexts)
	}
	for i, c := range t.Contexts {
		if len(c.Domains) == 0 && i > 0 {
			return refusal.New("Global aliases must stand before those of domains.")
		}
		for _, d := range c.Domains {
			if err := CheckAliasDomain(d); err != nil {
				return err
			}
		}
		for _, a := range c.Aliases {
			if err := a.check(len(c.Domains) == 0); err != nil {
				return err
			}
		}
	}
	x, err := t.index()
	if err != nil {
		return err
	}
	return x.check(t)
}

// CheckAliasDomain returns a refusal if s cannot be a domain of a context.
func CheckAliasDomain(s string) error {
	if len(s) > 255 || !domainName().MatchString(s) {
		return refusal.Newf("%q is no domain: expected example.com, or .example.com for all domains "+
			"below it.", s)
	}
	return nil
}

// domainName matches a domain, and .domain.
var domainName = pattern.New(`^(?:\.?[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)` +
	`(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*$`)

// plainUser matches the part before the @ of an address that may stand in the alias table.
var plainUser = pattern.New("^[A-Za-z0-9!$%&'*+/=?^_`{|}~.-]+$")

func (a Alias) check(global bool) error {
	for _, n := range a.Names {
		if err := CheckAliasName(n, global); err != nil {
			return err
		}
	}
	if len(a.Names) == 0 {
		return refusal.New("An alias needs a name.")
	}
	if len(a.Targets) == 0 || len(a.Targets) > maxAliasTargets {
		return refusal.Newf("The alias %s needs 1 to %d addresses.", strings.Join(a.Names, ", "),
			maxAliasTargets)
	}
	for _, to := range a.Targets {
		if err := CheckAliasTarget(to); err != nil {
			return err
		}
	}
	return nil
}

// CheckAliasName returns a refusal if s cannot be the name of an alias, global or of a context.
func CheckAliasName(s string, global bool) error {
	user, domain, full := cutAddress(s)
	ok := len(s) <= maxAddress && (plainUser().MatchString(user) || global && user == "" && full)
	if full && ok {
		ok = domainName().MatchString(domain) && (user == "" || domain[0] != '.')
	}
	switch {
	case ok:
		return nil
	case global:
		return refusal.Newf("%q is no alias: expected user, user@domain, @domain or @.domain.", s)
	}
	return refusal.Newf("%q is no alias: expected user or user@domain.", s)
}

// CheckAliasTarget returns a refusal if s cannot be what an alias stands for.
func CheckAliasTarget(s string) error {
	user, domain, full := cutAddress(s)
	ok := s == Discard || len(s) <= maxAddress && plainUser().MatchString(user)
	if full && ok {
		ok = domainName().MatchString(domain) && domain[0] != '.'
	}
	if !ok {
		return refusal.Newf("%q is no address: expected user@domain, another alias, or %s.", s, Discard)
	}
	return nil
}

// An aliasIndex finds the aliases of recipients. It does not change.
type aliasIndex struct {
	rules []Alias
	// byKey has the first rule for each key: user@domain, user@.domain, user@, @domain, @.domain, in
	// lower case. Aliases of a context have a key for each domain of the context.
	byKey map[string]int
}

// index returns the table's index.
func (t AliasTable) index() (*aliasIndex, error) {
	x := &aliasIndex{byKey: map[string]int{}}
	for _, c := range t.Contexts {
		for _, a := range c.Aliases {
			for _, n := range a.Names {
				for _, key := range aliasKeys(n, c.Domains) {
					if _, taken := x.byKey[key]; !taken {
						x.byKey[key] = len(x.rules)
					}
				}
				if len(x.byKey) > maxAliasKeys {
					return nil, refusal.Newf("The alias table is too large: its aliases, times the domains that "+
						"they apply to, are more than %d.", maxAliasKeys)
				}
			}
			x.rules = append(x.rules, a)
		}
	}
	return x, nil
}

// aliasKeys returns the keys of a name in a context with the given domains.
func aliasKeys(name string, domains []string) (keys []string) {
	name = strings.ToLower(name)
	switch {
	case strings.Contains(name, "@"):
		return []string{name}
	case len(domains) == 0:
		return []string{name + "@"}
	}
	for _, d := range domains {
		keys = append(keys, name+"@"+strings.ToLower(d))
	}
	return keys
}

// find returns the index of the first rule that matches an address, -1 if there is none.
func (x *aliasIndex) find(address string) int {
	user, domain, _ := cutAddress(strings.ToLower(address))
	keys := []string{user + "@" + domain, user + "@", "@" + domain, "@." + domain}
	for rest := domain; ; {
		_, up, found := strings.Cut(rest, ".")
		if !found {
			break
		}
		keys = append(keys, user+"@."+up, "@."+up)
		rest = up
	}
	first := -1
	for _, key := range keys {
		if n, found := x.byKey[key]; found && (first < 0 || n < first) {
			first = n
		}
	}
	return first
}

// expand returns the recipients that an address stands for, each once and without those that are
// dropped. An address that no alias matches stands for itself; changed is false then.
func (x *aliasIndex) expand(address string) (to []string, changed bool) {
	if x.find(address) < 0 {
		return []string{address}, false
	}
	e := newExpansion(x)
	e.visit(address, -1, 0)
	return e.to, true
}

// An expansion follows aliases.
type expansion struct {
	index *aliasIndex
	state map[string]aliasState // by address in lower case
	to    []string
	added map[string]bool // what to has, in lower case
	err   error           // the first mistake in the table: a loop, or an alias that does not exist
}

// An aliasState says how far an address has been expanded.
type aliasState int

const (
	aliasNew aliasState = iota
	aliasOpen
	aliasDone
)

func newExpansion(x *aliasIndex) *expansion {
	return &expansion{index: x, state: map[string]aliasState{}, added: map[string]bool{}}
}

// visit expands an address that stands among the targets of the rule from. An alias is not applied
// to its own targets: "joe: joe@example.com, archive@example.com" leaves joe a copy. Mail is not
// lost even if there is a mistake in the table, which Check does not let in.
func (e *expansion) visit(address string, from, depth int) {
	key, rule := strings.ToLower(address), e.index.find(address)
	switch {
	case rule < 0 || rule == from:
		e.add(address)
		return
	case e.state[key] == aliasDone:
		return
	case e.state[key] == aliasOpen:
		e.mistake(refusal.Newf("The alias %s leads back to itself.", address))
		e.add(address)
		return
	case depth >= maxAliasNesting:
		e.mistake(refusal.Newf("The aliases that lead to %s are nested more than %d times.", address,
			maxAliasNesting))
		e.add(address)
		return
	}
	e.state[key] = aliasOpen
	_, domain, _ := cutAddress(address)
	for _, target := range e.index.rules[rule].Targets {
		if target == Discard {
			continue
		}
		if !strings.Contains(target, "@") {
			name := target
			if target += "@" + domain; e.index.find(target) < 0 {
				e.mistake(refusal.Newf("The alias %s leads to %s, which is neither an address nor an alias.",
					strings.Join(e.index.rules[rule].Names, ", "), name))
			}
		}
		e.visit(target, rule, depth+1)
	}
	e.state[key] = aliasDone
}

// add adds a recipient, unless it is there already.
func (e *expansion) add(address string) {
	if key := strings.ToLower(address); !e.added[key] {
		e.added[key] = true
		e.to = append(e.to, address)
	}
}

func (e *expansion) mistake(err error) {
	if e.err == nil {
		e.err = err
	}
}

// check follows all aliases of a table, and returns the first mistake.
func (x *aliasIndex) check(t AliasTable) error {
	e := newExpansion(x)
	for _, c := range t.Contexts {
		for _, a := range c.Aliases {
			for _, n := range a.Names {
				for _, address := range examples(n, c.Domains) {
					if e.visit(address, -1, 0); e.err != nil {
						return e.err
					}
				}
			}
		}
	}
	return nil
}

// What no alias is written for, except those that match every user or every domain.
const (
	domainOfNoAlias = "domain.invalid"
	userOfNoAlias   = "?"
)

// examples returns addresses that an alias matches, one for each of its domains.
func examples(name string, domains []string) (out []string) {
	user, domain, full := cutAddress(name)
	switch {
	case user == "":
		return []string{userOfNoAlias + "@" + exampleOf(domain)}
	case full:
		return []string{name}
	case len(domains) == 0:
		return []string{user + "@" + domainOfNoAlias}
	}
	for _, d := range domains {
		out = append(out, user+"@"+exampleOf(d))
	}
	return out
}

// exampleOf returns a domain that a domain, or a partial one, matches.
func exampleOf(domain string) string {
	if strings.HasPrefix(domain, ".") {
		return "x" + domain
	}
	return domain
}

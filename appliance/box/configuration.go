package box

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/network/netsim"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/refusal"
)

// MaxConfig is the size of a configuration that can be loaded, in bytes.
const MaxConfig = 8 << 20

// PassphraseForms returns the words for the forms of passphrases in Box.Config that this version of
// the appliance has: "masked" and "encrypted", and before version 14 "plain".
func (b *Box) PassphraseForms() []string {
	forms := []string{"masked", "encrypted"}
	if b.Appliance().Product.Version.Before(product.Version{Major: 14}) {
		forms = append(forms, "plain")
	}
	return forms
}

// Config writes the committed configuration as showconfig does, for an administrator. passphrases is
// one of PassphraseForms; "" means "masked". A file whose passphrases are masked cannot be loaded. If
// there is no such form, the error is a *FieldError.
func (b *Box) Config(w io.Writer, passphrases string) error {
	o := config.XMLOptions{Header: b.Appliance().FileHeader()}
	if passphrases != "" {
		form := -1
		for i, word := range b.PassphraseForms() { // in the order of the constants of package config
			if word == passphrases {
				form = i
			}
		}
		if form < 0 {
			return &FieldError{"passphrases", passphrases, fmt.Sprintf(
				"%q is no form of passphrases: expected one of %s", passphrases,
				strings.Join(b.PassphraseForms(), ", "))}
		}
		o.Passphrases = config.Passphrases(form)
	}
	return config.WriteXML(w, b.Appliance().Config.Committed(), o)
}

// A ConfigChange is a line of the tree of changes that are not committed.
type ConfigChange struct {
	Depth int    `json:"depth"` // 0 for a section
	Name  string `json:"name"`  // of the element, with the key of an element of a list: interface Data 1
	// Change is "added", "1 -> 2" and the like; "" if only the lines below have changes.
	Change string `json:"change,omitempty"`
}

// A ConfigError says which setting of a configuration is refused.
type ConfigError struct {
	Field    string // the element or the section; "" if it is not about one
	Value    string // that is wrong; "" if it is not about one value
	Line     int    // of the text that was loaded; 0 if it is about no line
	Conflict bool   // the draft contradicts what others have committed, or is empty
	Message  string
}

func (e *ConfigError) Error() string { return e.Message }

// LoadConfig sets the sections that a text holds, in the form of Config, in the draft of the box. It
// returns all changes of the draft. They take effect with CommitConfig; a reboot or a reset loses
// them. The text may hold some sections only. If it is refused, the error is a *ConfigError, and
// the draft is as before.
func (b *Box) LoadConfig(text []byte) ([]ConfigChange, error) {
	draft := b.current().draft
	if _, err := config.ReadXML(bytes.NewReader(text), draft); err != nil {
		return nil, configError(err)
	}
	return changesOf(draft), nil
}

// ConfigChanges returns the changes of the draft of the box.
func (b *Box) ConfigChanges() []ConfigChange { return changesOf(b.current().draft) }

// DiscardConfig removes the changes of the draft.
func (b *Box) DiscardConfig() { b.current().draft.Discard() }

func changesOf(d *config.Draft) []ConfigChange {
	list := []ConfigChange{}
	for _, l := range config.ChangeLines(d.Changes(), "->") {
		list = append(list, ConfigChange{l.Depth, l.Name, l.Change})
	}
	return list
}

// A ConfigRevision is a committed configuration.
type ConfigRevision struct {
	Revision int       `json:"revision"` // its number, which counts up
	Time     time.Time `json:"time"`
	User     string    `json:"user"`
	Comment  string    `json:"comment"`
}

// CommitConfig commits the draft of the box as a session of an account on the serial console would,
// with a comment that may be empty; user "" means admin. The error is a *ConfigError if the changes
// are refused or there are none, and that of Run if there is no such account.
func (b *Box) CommitConfig(ctx context.Context, user, comment string) (ConfigRevision, error) {
	if err := config.CheckComment(comment); err != nil {
		text, _ := refusal.Text(err)
		return ConfigRevision{}, &FieldError{"comment", comment, oneLine(text)}
	}
	i := b.current()
	account, err := i.account(user)
	if err != nil {
		return ConfigRevision{}, err
	}
	a := i.appliance
	login := a.Logins.Open(account, netip.Addr{}, "cli")
	defer login.Close()
	err = a.Commit(ctx, i.draft, login.ID(), config.CommitInfo{
		User: account.Name, Comment: comment, KeepForRollback: true,
	})
	if err != nil {
		return ConfigRevision{}, configError(err)
	}
	r, _ := a.Config.LastCommit()
	return ConfigRevision{r.Number, r.Time.In(a.Zone()), r.User, r.Comment}, nil
}

// configError returns the error of ReadXML or of a commit as a *ConfigError, if it is a refusal.
func configError(err error) error {
	var syntax *config.XMLError
	var invalid *config.InvalidError
	var conflict *config.ConflictError
	switch {
	case errors.As(err, &syntax):
		return &ConfigError{Field: syntax.Element, Value: syntax.Value, Line: syntax.Line,
			Message: syntax.Error()}
	case errors.As(err, &invalid) && len(invalid.Problems) > 0:
		var texts []string
		for _, p := range invalid.Problems {
			texts = append(texts, p.Section+": "+oneLine(p.Text))
		}
		return &ConfigError{Field: invalid.Problems[0].Section, Message: strings.Join(texts, "; ")}
	case errors.As(err, &conflict):
		return &ConfigError{Field: conflict.Sections[0], Conflict: true, Message: fmt.Sprintf(
			"another session has meanwhile changed %s: discard the changes and make them again",
			strings.Join(conflict.Sections, ", "))}
	case errors.Is(err, config.ErrNoChanges):
		return &ConfigError{Conflict: true, Message: "there are no changes to commit"}
	}
	if text, ok := refusal.Text(err); ok {
		return netsim.Conflict("%s", oneLine(text))
	}
	return err
}

// oneLine returns a text with blanks in place of line ends.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

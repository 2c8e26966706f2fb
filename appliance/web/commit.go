package web

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/product"
)

// A commitView is the data of the page with the uncommitted changes.
type commitView struct {
	Changes   []changeLine
	Comment   string
	Errors    fieldErrors
	MayKeep   bool // the version asks whether to keep the configuration for rollback
	MayCommit bool // the account's role permits it
}

// A changeLine is a line of the tree of changes.
type changeLine struct {
	Depth int
	Text  string
}

func (s *site) showChanges(v *visit) error {
	return s.showCommit(v, http.StatusOK, commitView{})
}

func (s *site) showCommit(v *visit, status int, c commitView) error {
	for _, d := range v.session.draft.Changes() {
		c.Changes = appendChange(c.Changes, d, 0)
	}
	c.MayKeep = !s.appliance.Product.Version.Before(product.Version{Major: 8, Minor: 5})
	c.MayCommit = s.mayRun(v.role(), commitCommand)
	return s.render(v, status, "commit.html", c)
}

func appendChange(lines []changeLine, d config.Difference, depth int) []changeLine {
	text := d.Name
	if d.Key != "" {
		text += " " + formatValue(d.Key)
	}
	leaf := len(d.Children) == 0
	switch {
	case d.Kind == config.Removed:
		return append(lines, changeLine{depth, text + ": removed"})
	case leaf && d.Kind == config.Added && d.Key == "":
		text += ": " + formatValue(d.New)
	case d.Kind == config.Added:
		text += ": added"
	case leaf && d.Old != d.New:
		text += ": " + formatValue(d.Old) + " → " + formatValue(d.New)
	case leaf && d.New != "": // a passphrase, which is masked before and after
		text += ": changed"
	case leaf:
		text += ": order changed"
	}
	lines = append(lines, changeLine{depth, text})
	for _, in := range d.Children {
		lines = appendChange(lines, in, depth+1)
	}
	return lines
}

// formatValue formats a value of the configuration.
func formatValue(s string) string {
	switch {
	case s == "":
		return "(none)"
	case strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }):
		return strconv.Quote(s)
	}
	return s
}

// confirmAbandon shows the question whether to abandon the changes.
func (s *site) confirmAbandon(v *visit) error {
	v.title = "Abandon Changes"
	return s.show(v, "confirm.html", question{
		Text: "Are you sure you want to abandon your changes?", Hint: "What you have changed and not committed will be lost.", Button: "Abandon Changes",
		Action: commitPage.Path, Back: commitPage.Path, Hidden: [][2]string{{"action", "abandon"}},
	})
}

// commit commits the changes of the session, or abandons them.
func (s *site) commit(v *visit) error {
	if v.PostForm.Get("action") == "abandon" {
		v.session.draft.Discard()
		return v.redirect(commitPage.Path, "The changes have been abandoned.")
	}
	if !s.mayRun(v.role(), commitCommand) {
		return refuse(http.StatusForbidden, "Your user role (%s) does not permit committing changes.", v.role())
	}
	comment := strings.TrimSpace(v.PostForm.Get("comment"))
	c := commitView{Comment: comment, Errors: fieldErrors{}}
	const longest = 1000
	switch {
	case len(comment) > longest:
		c.Errors["comment"] = fmt.Sprintf("The comment must not be longer than %d characters.", longest)
	case !utf8.ValidString(comment) || strings.ContainsFunc(comment, unicode.IsControl):
		c.Errors["comment"] = "The comment must not contain control characters."
	}
	if len(c.Errors) > 0 {
		return s.showCommit(v, http.StatusUnprocessableEntity, c)
	}
	keep := v.PostForm.Get("keep") != "" || s.appliance.Product.Version.Before(product.Version{Major: 8, Minor: 5})
	a := v.session.account
	_, err := s.appliance.Config.Commit(v.Context(), v.session.draft, config.CommitInfo{User: a.Name, Comment: comment, KeepForRollback: keep})
	if err != nil {
		if err := c.Errors.set("form", editRefusal(err)); err != nil {
			return err
		}
		return s.showCommit(v, http.StatusConflict, c)
	}
	s.appliance.Log(appliance.SystemLog, appliance.Information,
		fmt.Sprintf("PID %d: User %s commit changes: %s", v.session.login.ID(), a.Name, comment))
	return v.redirect(commitPage.Path, "Success - Your changes have been committed.")
}

// editRefusal returns the refusal for an error of a commit or of an edit of the draft. If err is
// neither a refusal nor one of config's errors about other sessions, editRefusal returns it.
func editRefusal(err error) error {
	var conflict *config.ConflictError
	switch {
	case errors.As(err, &conflict):
		return refuse(http.StatusConflict,
			"The changes cannot be committed: another session has meanwhile changed %s. Abandon the changes, and make them again.",
			strings.Join(conflict.Sections, ", "))
	case errors.Is(err, config.ErrNoChanges):
		return refuse(http.StatusConflict, "There are no changes to commit.")
	}
	return err
}

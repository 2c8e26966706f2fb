package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/product"
	"github.com/esasim/esasim/appliance/users"
)

// A commitView is the data of the page with the uncommitted changes.
type commitView struct {
	Changes   []config.ChangeLine
	Comment   string
	Errors    fieldErrors
	MayKeep   bool // the version asks whether to keep the configuration for rollback
	MayCommit bool // the account's role permits it
}

func (s *site) showChanges(v *visit) error {
	return s.showCommit(v, http.StatusOK, commitView{})
}

func (s *site) showCommit(v *visit, status int, c commitView) error {
	c.Changes = config.ChangeLines(v.session.draft.Changes(), "→")
	c.MayKeep = !s.appliance.Product.Version.Before(product.Version{Major: 8, Minor: 5})
	c.MayCommit = s.mayRun(v.role(), commitCommand)
	return s.render(v, status, "commit.html", c)
}

// confirmAbandon shows the question whether to abandon the changes.
func (s *site) confirmAbandon(v *visit) error {
	v.title = "Abandon Changes"
	return s.show(v, "confirm.html", question{
		Text: "Are you sure you want to abandon your changes?",
		Hint: "What you have changed and not committed will be lost.", Button: "Abandon Changes",
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
		return refuse(http.StatusForbidden,
			"Your user role (%s) does not permit committing changes.", v.role())
	}
	comment := strings.TrimSpace(v.PostForm.Get("comment"))
	c := commitView{Comment: comment, Errors: fieldErrors{}}
	if err := c.Errors.set("comment", config.CheckComment(comment)); err != nil {
		return err
	}
	if len(c.Errors) > 0 {
		return s.showCommit(v, http.StatusUnprocessableEntity, c)
	}
	keep := v.PostForm.Get("keep") != "" ||
		s.appliance.Product.Version.Before(product.Version{Major: 8, Minor: 5})
	ctx := users.WithAuthority(v.Context(), v.session.authority)
	err := s.appliance.Commit(ctx, v.session.draft, v.session.login.ID(), config.CommitInfo{
		User: v.session.user, Comment: comment, KeepForRollback: keep,
	})
	if err != nil {
		if err := c.Errors.set("form", editRefusal(err)); err != nil {
			return err
		}
		return s.showCommit(v, http.StatusConflict, c)
	}
	return v.redirect(commitPage.Path, "Success - Your changes have been committed.")
}

// editRefusal returns the refusal for an error of a commit or of an edit of the draft. If err is
// neither a refusal nor one of config's errors about other sessions, editRefusal returns it.
func editRefusal(err error) error {
	var conflict *config.ConflictError
	switch {
	case errors.As(err, &conflict):
		return refuse(http.StatusConflict,
			"The changes cannot be committed: another session has meanwhile changed %s. Abandon "+
				"the changes, and make them again.",
			strings.Join(conflict.Sections, ", "))
	case errors.Is(err, config.ErrNoChanges):
		return refuse(http.StatusConflict, "There are no changes to commit.")
	}
	return err
}

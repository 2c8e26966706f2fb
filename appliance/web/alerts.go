package web

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/alert"
)

// alertRoutes registers System Administration > Alerts. Every role may see the stored alerts,
// as with displayalerts.
func (s *site) alertRoutes(mux *http.ServeMux) {
	s.route(mux, alertsPage, "GET", "", s.showAlerts)
	for _, r := range []struct {
		method, below string
		h             func(*visit) error
	}{
		{"GET", "/recipient", s.showRecipient}, {"POST", "/recipient", s.saveRecipient},
		{"GET", "/delete", s.confirmDeleteRecipient}, {"POST", "/delete", s.deleteRecipient},
		{"GET", "/settings", s.showAlertSettings}, {"POST", "/settings", s.saveAlertSettings},
	} {
		s.route(mux, alertsPage, r.method, r.below,
			s.restrict(alertsCommand, "setting up alerts", r.h))
	}
}

// An alertView is the data of the page.
type alertView struct {
	MayEdit    bool
	Recipients []recipientRow
	Settings   []setting
	Alerts     []alertRow
}

type recipientRow struct{ Address, Classes, Severities string }

type alertRow struct{ Time, Class, Severity, Text, Repeats string }

func (s *site) showAlerts(v *visit) error {
	view := alertView{MayEdit: s.mayRun(v.role(), alertsCommand)}
	set := alert.Section.Get(v.session.draft)
	for _, r := range set.Recipients {
		view.Recipients = append(view.Recipients,
			recipientRow{r.Address, listOrAll(r.Classes), listOrAll(r.Severities)})
	}
	from, support := set.From, "Disabled"
	if from == "" {
		from = "alert@" + s.appliance.Hostname() + " (the system default)"
	}
	if set.AutoSupport {
		support = "Enabled"
		if set.AutoSupportCopy {
			support += ", with a copy of the weekly reports"
		}
	}
	view.Settings = []setting{
		{"From Address", from},
		{"Initial Wait Before a Duplicate Alert", count(set.InitialInterval, "second", "seconds")},
		{"Maximum Wait Before a Duplicate Alert", count(set.MaximumInterval, "second", "seconds")},
		{"Alerts Stored in the System", formatNumber(int64(set.StoredAlerts))},
		{"AutoSupport", support},
	}
	for _, a := range s.appliance.Alerts.Alerts() {
		row := alertRow{s.formatTime(a.Time), string(a.Class), string(a.Severity), a.Text, ""}
		if a.Repeats != nil {
			row.Repeats = strings.TrimSpace(a.Repeats.Text(s.appliance.Zone()))
		}
		view.Alerts = append(view.Alerts, row)
	}
	return s.show(v, "alerts.html", view)
}

// listOrAll formats a list in which no element means all.
func listOrAll[T ~string](list []T) string {
	if len(list) == 0 {
		return "All"
	}
	return joinList(list)
}

// A recipientForm is the form of an alert recipient. Old is the recipient's address before the
// change; it is empty for a new recipient.
type recipientForm struct {
	Old, Address        string
	Classes, Severities []choice
	Errors              fieldErrors
}

func (s *site) showRecipientForm(v *visit, status int, f recipientForm) error {
	v.title = "Edit Alert Recipient"
	if f.Old == "" {
		v.title = "Add Alert Recipient"
	}
	return s.render(v, status, "recipient.html", f)
}

func choices[T ~string](all, chosen []T) []choice {
	var list []choice
	for _, x := range all {
		list = append(list, choice{string(x), len(chosen) == 0 || slices.Contains(chosen, x)})
	}
	return list
}

func (s *site) showRecipient(v *visit) error {
	f := recipientForm{Classes: choices(alert.Classes(), nil),
		Severities: choices(alert.Severities(), nil)}
	if address := v.FormValue("address"); address != "" {
		set := alert.Section.Get(v.session.draft)
		r := set.Find(address)
		if r == nil {
			return errNoRecipient
		}
		f = recipientForm{r.Address, r.Address, choices(alert.Classes(), r.Classes),
			choices(alert.Severities(), r.Severities), nil}
	}
	return s.showRecipientForm(v, http.StatusOK, f)
}

var errNoRecipient = refuse(http.StatusNotFound, "There is no such alert recipient.")

// selectedValues returns the values of ticked boxes. If all are ticked the list is empty, which
// means all.
func selectedValues[T ~string](ticked []string, all []T) []T {
	var list []T
	for _, t := range ticked {
		list = append(list, T(t))
	}
	if len(list) == len(all) && !slices.ContainsFunc(all, func(x T) bool {
		return !slices.Contains(list, x)
	}) {
		return nil
	}
	return list
}

func (s *site) saveRecipient(v *visit) error {
	p := v.PostForm
	old := p.Get("old")
	r := alert.Recipient{
		Address:    strings.TrimSpace(p.Get("address")),
		Classes:    selectedValues(p["class"], alert.Classes()),
		Severities: selectedValues(p["severity"], alert.Severities()),
	}
	f := recipientForm{
		Old: old, Address: r.Address, Errors: fieldErrors{},
		Classes:    tickedChoices(alert.Classes(), p["class"]),
		Severities: tickedChoices(alert.Severities(), p["severity"]),
	}
	set := alert.Section.Get(v.session.draft)
	if len(p["class"]) == 0 {
		f.Errors["class"] = "Choose at least one alert class."
	}
	if len(p["severity"]) == 0 {
		f.Errors["severity"] = "Choose at least one severity."
	}
	if err := f.Errors.set("address", alert.CheckAddress(r.Address)); err != nil {
		return err
	}
	if f.Errors["address"] == "" && set.Find(r.Address) != nil &&
		!strings.EqualFold(r.Address, old) {
		f.Errors["address"] = fmt.Sprintf("Alerts are sent to %s already.", r.Address)
	}
	if len(f.Errors) == 0 {
		err := alert.Section.Edit(v.session.draft, func(set *alert.Settings) error {
			if old == "" {
				set.Recipients = append(set.Recipients, r)
			} else if now := set.Find(old); now != nil {
				*now = r
			} else {
				return errNoRecipient
			}
			return set.Check()
		})
		if err == nil {
			return v.redirectPending(alertsPage.Path,
				"The alert recipient %s takes effect when the change is committed.", r.Address)
		}
		if err := f.Errors.set("form", editRefusal(err)); err != nil {
			return err
		}
	}
	return s.showRecipientForm(v, http.StatusUnprocessableEntity, f)
}

// tickedChoices returns boxes as the user has ticked them.
func tickedChoices[T ~string](all []T, ticked []string) []choice {
	var list []choice
	for _, x := range all {
		list = append(list, choice{string(x), slices.Contains(ticked, string(x))})
	}
	return list
}

// confirmDeleteRecipient shows the question whether to delete a recipient.
func (s *site) confirmDeleteRecipient(v *visit) error {
	address := v.FormValue("address")
	set := alert.Section.Get(v.session.draft)
	if set.Find(address) == nil {
		return errNoRecipient
	}
	v.title = "Delete Alert Recipient"
	return s.show(v, "confirm.html", question{
		Text: fmt.Sprintf("Are you sure you want to delete the alert recipient %s?", address),
		Hint: "The change takes effect when it is committed.", Button: "Delete",
		Action: alertsPage.Path + "/delete", Back: alertsPage.Path,
		Hidden: [][2]string{{"address", address}},
	})
}

func (s *site) deleteRecipient(v *visit) error {
	address := v.PostForm.Get("address")
	set := alert.Section.Get(v.session.draft)
	if set.Find(address) == nil {
		return errNoRecipient
	}
	err := alert.Section.Edit(v.session.draft, func(set *alert.Settings) error {
		set.Recipients = slices.DeleteFunc(set.Recipients, func(r alert.Recipient) bool {
			return strings.EqualFold(r.Address, address)
		})
		return nil
	})
	if err != nil {
		return editRefusal(err)
	}
	return v.redirectPending(alertsPage.Path,
		"The alert recipient %s will be deleted when the change is committed.", address)
}

// An alertForm is the form of the settings, with the values as the user has entered them.
type alertForm struct {
	From, Initial, Maximum, Stored string
	AutoSupport, Copy              bool
	Default, Vendor                string
	Errors                         fieldErrors
}

const alertSettingsTitle = "Edit Alert Settings"

func (s *site) showAlertSettings(v *visit) error {
	set := alert.Section.Get(v.session.draft)
	v.title = alertSettingsTitle
	return s.show(v, "alertform.html", alertForm{
		From: set.From, Initial: fmt.Sprint(set.InitialInterval),
		Maximum: fmt.Sprint(set.MaximumInterval), Stored: fmt.Sprint(set.StoredAlerts),
		AutoSupport: set.AutoSupport, Copy: set.AutoSupportCopy,
		Default: "alert@" + s.appliance.Hostname(), Vendor: alert.VendorAddress,
	})
}

func (s *site) saveAlertSettings(v *visit) error {
	p := v.PostForm
	f := alertForm{
		From: trimmed(p, "from"), Initial: trimmed(p, "initial"), Maximum: trimmed(p, "maximum"),
		Stored:      trimmed(p, "stored"),
		AutoSupport: p.Get("autosupport") != "", Copy: p.Get("copy") != "",
		Default: "alert@" + s.appliance.Hostname(), Vendor: alert.VendorAddress,
	}
	v.title = alertSettingsTitle
	var err error
	if f.Errors, err = f.check(alert.Section.Get(v.session.draft)); err != nil {
		return err
	}
	if len(f.Errors) > 0 {
		return s.render(v, http.StatusUnprocessableEntity, "alertform.html", f)
	}
	err = alert.Section.Edit(v.session.draft, func(set *alert.Settings) error {
		set.From, set.StoredAlerts = f.From, int(parseNumber(f.Stored))
		set.InitialInterval = int(parseNumber(f.Initial))
		set.MaximumInterval = int(parseNumber(f.Maximum))
		set.AutoSupport, set.AutoSupportCopy = f.AutoSupport, f.Copy
		return set.Check()
	})
	if err == nil {
		return v.redirectPending(alertsPage.Path,
			"The alert settings take effect when they are committed.")
	}
	if err := f.Errors.set("form", editRefusal(err)); err != nil {
		return err
	}
	return s.render(v, http.StatusUnprocessableEntity, "alertform.html", f)
}

// check checks each field in settings that are otherwise valid, so that all errors are reported
// at once.
func (f alertForm) check(valid alert.Settings) (fieldErrors, error) {
	found := fieldErrors{}
	var failed error
	try := func(field string, put func(*alert.Settings)) {
		probe := valid
		put(&probe)
		failed = cmp.Or(failed, found.set(field, probe.Check()))
	}
	initial, maximum := int(parseNumber(f.Initial)), int(parseNumber(f.Maximum))
	try("from", func(set *alert.Settings) { set.From = f.From })
	try("initial", func(set *alert.Settings) {
		set.InitialInterval, set.MaximumInterval = initial, alert.MaxInterval
	})
	// The lower bound of the maximum is the initial number, if that is valid.
	try("maximum", func(set *alert.Settings) {
		if set.MaximumInterval = maximum; found["initial"] == "" {
			set.InitialInterval = initial
		} else {
			set.InitialInterval = 0
		}
	})
	try("stored", func(set *alert.Settings) { set.StoredAlerts = int(parseNumber(f.Stored)) })
	return found, failed
}

package web

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/pcapfilter"
	"github.com/esasim/esasim/appliance/refusal"
)

// A settingsForm is Edit Settings: what stands in its fields, right or wrong (B12, B13).
type settingsForm struct {
	Size       string
	Duration   string // "size", "time" or "none"
	Time       string
	KeepNewest bool // at the size limit, of "time"
	Interfaces []choice
	Filter     string // "", "predefined" or "custom"
	Ports      string
	Clients    string
	Servers    string
	Expression string

	MinSize, MaxSize int
	Running          bool
	Errors           fieldErrors
	Check            filterCheck
}

// A choice is a box to tick.
type choice struct {
	Name   string
	Chosen bool
}

// Values of Duration.
const (
	untilSize    = "size"
	untilTime    = "time"
	indefinitely = "none"
)

func (s *site) newSettingsForm(set capture.Settings) settingsForm {
	f := settingsForm{
		Size: strconv.Itoa(set.SizeMB), Duration: untilSize, KeepNewest: set.KeepNewest,
		Filter: string(set.Filter.Kind), Expression: set.Filter.Expression,
		Ports: joinList(set.Filter.Ports), Clients: joinList(set.Filter.Clients), Servers: joinList(set.Filter.Servers),
	}
	switch {
	case set.Duration > 0:
		f.Duration, f.Time = untilTime, capture.FormatDuration(set.Duration)
	case set.KeepNewest:
		f.Duration = indefinitely
	}
	s.fillIn(&f, set.Interfaces)
	return f
}

// complete fills in what does not come from the user. No interface chosen means all.
func (s *site) fillIn(f *settingsForm, chosen []string) {
	f.MinSize, f.MaxSize, f.Errors = capture.MinSizeMB, capture.MaxSizeMB, fieldErrors{}
	f.Running = s.appliance.Captures.Status(capture.GUI).Running
	f.Interfaces = nil
	for _, name := range s.appliance.Captures.Interfaces() {
		c := choice{Name: name, Chosen: len(chosen) == 0}
		for _, n := range chosen {
			c.Chosen = c.Chosen || n == name
		}
		f.Interfaces = append(f.Interfaces, c)
	}
}

func joinList[T any](list []T) string {
	var texts []string
	for _, v := range list {
		texts = append(texts, fmt.Sprint(v))
	}
	return strings.Join(texts, ", ")
}

func (s *site) showSettings(v *visit) error {
	v.title = settingsTitle
	return s.show(v, "settings.html", s.newSettingsForm(s.appliance.Captures.Settings()))
}

const settingsTitle = "Edit Packet Capture Settings"

// saveSettings takes effect at once: the settings of captures wait for no commit.
func (s *site) saveSettings(v *visit) error {
	p := v.PostForm
	f := settingsForm{
		Size: trimmed(p, "size"), Duration: p.Get("duration"), Time: trimmed(p, "time"), KeepNewest: p.Get("keep") != "",
		Filter: p.Get("filter"), Ports: trimmed(p, "ports"), Clients: trimmed(p, "clients"), Servers: trimmed(p, "servers"),
		Expression: trimmed(p, "expression"),
	}
	chosen := p["interface"]
	s.fillIn(&f, chosen)
	old := s.appliance.Captures.Settings()
	set := f.settings(old)
	f.rejectUnused(s.newSettingsForm(old))
	set.Interfaces = chosen
	if len(chosen) == len(f.Interfaces) {
		set.Interfaces = nil
	}
	if len(chosen) == 0 {
		f.Errors["interfaces"] = "Choose at least one interface."
		for i := range f.Interfaces {
			f.Interfaces[i].Chosen = false
		}
	}
	if err := s.checkSettings(&f, set); err != nil {
		return err
	}
	if len(f.Errors) > 0 {
		v.title = settingsTitle
		return s.render(v, http.StatusUnprocessableEntity, "settings.html", f)
	}
	if err := s.appliance.Captures.SetSettings(set); err != nil {
		return err
	}
	return v.redirect(capturePage.Path, "Success - Packet Capture settings have been changed.")
}

func trimmed(form url.Values, field string) string { return strings.TrimSpace(form.Get(field)) }

// judge adds to Trouble what the recorder has to say. What is wrong already is left out,
// so that the rest is judged too.
func (s *site) checkSettings(f *settingsForm, set capture.Settings) error {
	for known := -1; known < len(f.Errors); {
		known = len(f.Errors)
		if f.Errors["size"] != "" {
			set.SizeMB = f.MinSize
		}
		if f.Errors["interfaces"] != "" {
			set.Interfaces = nil
		}
		for _, field := range []string{"filter", "ports", "clients", "servers", "expression"} {
			if f.Errors[field] != "" {
				set.Filter = capture.Filter{}
			}
		}
		err := s.appliance.Captures.Check(set)
		if err == nil {
			return nil
		}
		if err := f.assignError(err); err != nil {
			return err
		}
	}
	return nil
}

// stray objects to what was entered under a choice that was not chosen, as it would be
// lost. A field that is as it was shown was not entered.
func (f *settingsForm) rejectUnused(shown settingsForm) {
	const untilTimeTitle = "Run Capture Until Time Elapsed Reaches"
	predefined, custom := f.Filter == string(capture.Predefined), f.Filter == string(capture.Custom)
	f.Errors.rejectUnused("time", f.Time, shown.Time, untilTimeTitle, f.Duration == untilTime)
	f.Errors.rejectUnused("keep", ticked(f.KeepNewest), ticked(shown.KeepNewest), untilTimeTitle, f.Duration != untilSize)
	f.Errors.rejectUnused("ports", f.Ports, shown.Ports, "Predefined Filters", predefined)
	f.Errors.rejectUnused("clients", f.Clients, shown.Clients, "Predefined Filters", predefined)
	f.Errors.rejectUnused("servers", f.Servers, shown.Servers, "Predefined Filters", predefined)
	f.Errors.rejectUnused("expression", f.Expression, shown.Expression, "Custom Filter", custom)
}

func ticked(on bool) string {
	if on {
		return "y"
	}
	return ""
}

// settings are what the form says; what does not make sense is in Trouble. What the
// chosen filter does not use stays as it was.
func (f *settingsForm) settings(old capture.Settings) capture.Settings {
	set := capture.Settings{KeepNewest: f.KeepNewest, Filter: old.Filter}
	var err error
	if set.SizeMB, err = strconv.Atoi(strings.TrimSpace(f.Size)); err != nil || set.SizeMB < f.MinSize || set.SizeMB > f.MaxSize {
		f.Errors["size"] = fmt.Sprintf("The size limit must be a number from %d to %d.", f.MinSize, f.MaxSize)
	}
	switch f.Duration {
	case untilSize:
		set.KeepNewest = false
	case indefinitely:
		set.KeepNewest = true
	case untilTime:
		set.Duration, err = capture.ParseDuration(f.Time)
		f.setError("time", err)
	default:
		f.Errors["duration"] = "Choose how long the capture runs."
	}
	set.Filter.Kind = capture.FilterKind(f.Filter)
	switch set.Filter.Kind {
	case capture.NoFilter:
	case capture.Predefined:
		set.Filter.Ports, err = capture.ParsePorts(f.Ports)
		f.setError("ports", err)
		set.Filter.Clients, err = capture.ParseAddrs(f.Clients)
		f.setError("clients", err)
		set.Filter.Servers, err = capture.ParseAddrs(f.Servers)
		f.setError("servers", err)
		if f.Ports+f.Clients+f.Servers == "" {
			f.Errors["ports"] = "Enter a port, a client or a server. To record everything, choose No Filters."
		}
	case capture.Custom:
		if set.Filter.Expression = f.Expression; f.Expression == "" {
			f.Errors["expression"] = "Enter a filter."
		}
	default:
		f.Errors["filter"] = "Choose a filter."
	}
	return set
}

// note keeps the refusal of what was entered in a field.
func (f *settingsForm) setError(field string, err error) {
	if text, ok := refusal.Text(err); ok {
		f.Errors[field] = text
	}
}

// blame puts a refusal beside the field that it is about; other errors it returns.
func (f *settingsForm) assignError(err error) error {
	text, ok := refusal.Text(err)
	var syntax *pcapfilter.SyntaxError
	var gone *capture.InterfaceError
	switch {
	case !ok:
		return err
	case errors.As(err, &syntax):
		if f.Filter == string(capture.Custom) {
			f.Check = checkOf(syntax)
			f.Errors["expression"] = f.Check.Text
		} else {
			f.Errors["filter"] = text
		}
	case errors.As(err, &gone):
		f.Errors["interfaces"] = text
	case f.Filter == string(capture.Predefined): // the form has checked everything else
		f.Errors["servers"] = text
	default:
		f.Errors["form"] = text
	}
	return nil
}

// A filterCheck is what there is to say of a filter.
type filterCheck struct {
	OK     bool   `json:"ok"`
	Text   string `json:"text"`
	Before string `json:"before"` // the expression up to the fault
	Fault  string `json:"fault"`  // the word at the fault, or "" at the end
	After  string `json:"after"`
}

// checkOf is a sentence for a fault, and where it is.
func checkOf(e *pcapfilter.SyntaxError) filterCheck {
	c := filterCheck{Text: e.Sentence(), Before: e.Expr[:e.Offset]}
	rest := e.Expr[e.Offset:]
	n := strings.IndexAny(rest, " \t()")
	if n == 0 {
		n = 1
	}
	if n < 0 {
		n = len(rest)
	}
	c.Fault, c.After = rest[:n], rest[n:]
	return c
}

// maxFilter bounds what is compiled while somebody types.
const maxFilter = 4096

// checkFilter judges what somebody types for a capture. Names of hosts are looked up only when the
// settings are saved: not every letter is worth a question to the DNS.
func (s *site) checkFilter(v *visit) error {
	names := false
	_, check, err := compile(trimmed(v.Form, "filter"), pcapfilter.Options{
		Netmask: net.CIDRMask(24, 32),
		LookupHost: func(string) ([]netip.Addr, error) {
			names = true
			return []netip.Addr{netip.IPv4Unspecified()}, nil
		},
	})
	if err != nil {
		return err
	}
	if check.OK && names {
		check.Text += " Names of hosts in it are looked up when the settings are saved."
	}
	return answerJSON(v.w, check)
}

// compile compiles a filter, nil of an empty one, and words what is wrong with it.
func compile(expr string, o pcapfilter.Options) (*pcapfilter.Filter, filterCheck, error) {
	switch {
	case expr == "":
		return nil, filterCheck{OK: true}, nil
	case len(expr) > maxFilter:
		return nil, filterCheck{Text: fmt.Sprintf("The filter must not be longer than %d characters.", maxFilter)}, nil
	}
	f, err := pcapfilter.Compile(expr, o)
	var syntax *pcapfilter.SyntaxError
	if errors.As(err, &syntax) {
		return nil, checkOf(syntax), nil
	}
	return f, filterCheck{OK: true, Text: "The filter is valid."}, err
}

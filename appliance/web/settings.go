package web

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/pcapfilter"
	"github.com/esasim/esasim/appliance/refusal"
)

// A settingsForm is the form Edit Settings, with the values of its fields, valid or not
// (B12, B13).
type settingsForm struct {
	Size       string
	Duration   string // "size", "time" or "none"
	Time       string
	KeepNewest bool // at the size limit, if Duration is "time"
	Interfaces []choice
	Filter     string // "", "predefined" or "custom"
	Ports      string
	Clients    string
	Servers    string
	Expression string
	LeaveOut   bool // the browser's own packets

	MinSize, MaxSize int
	Was              string // revision of the settings that the form was shown with
	Running          bool   // a capture is in progress, of any side
	Client           string // address of the browser
	Warning          string // B31
	Errors           fieldErrors
	Check            filterCheck
}

// A choice is a box to tick.
type choice struct {
	Name   string
	Chosen bool
}

// Values of Duration. capture.UntilSizeText, UntilTimeText and IndefinitelyText are their names.
const (
	untilSize    = "size"
	untilTime    = "time"
	indefinitely = "none"
)

func (s *site) newSettingsForm(v *visit, set capture.Settings) settingsForm {
	f := settingsForm{
		Size: strconv.Itoa(set.SizeMB), Duration: untilSize, KeepNewest: set.KeepNewest,
		Filter: string(set.Filter.Kind), Expression: set.Filter.Expression,
		Ports: joinList(set.Filter.Ports), Clients: joinList(set.Filter.Clients),
		Servers: joinList(set.Filter.Servers),
	}
	switch {
	case set.Duration > 0:
		f.Duration, f.Time = untilTime, capture.FormatDuration(set.Duration)
	case set.KeepNewest:
		f.Duration = indefinitely
	}
	if rest, ok := withoutExclusion(f.Expression, s.ownPackets(v.Request)); ok {
		f.Expression, f.LeaveOut = rest, true
		if rest == "" {
			f.Filter = string(capture.NoFilter)
		}
	}
	s.fillIn(v, &f, set.Interfaces)
	return f
}

// ownPackets returns the filter for the packets between a browser and the ports of the page.
func (s *site) ownPackets(r *http.Request) string {
	to := localAddr(r)
	var ports []string
	for _, i := range s.interfaces() {
		if to.IsValid() && !hasAddr(i, to) {
			continue
		}
		for _, port := range []uint16{i.HTTP, i.HTTPS} {
			if text := fmt.Sprintf("tcp port %d", port); port != 0 &&
				!slices.Contains(ports, text) {
				ports = append(ports, text)
			}
		}
	}
	return fmt.Sprintf("host %v and (%s)", remoteAddr(r), strings.Join(ports, " or "))
}

// withExclusion returns a filter for the packets that expr selects and exclude does not.
func withExclusion(expr, exclude string) string {
	if expr == "" {
		return "not (" + exclude + ")"
	}
	return "(" + expr + ") and not (" + exclude + ")"
}

// withoutExclusion undoes withExclusion. ok reports whether expr is a result of it.
func withoutExclusion(expr, exclude string) (rest string, ok bool) {
	if expr == withExclusion("", exclude) {
		return "", true
	}
	rest, ok = strings.CutSuffix(expr, ") and not ("+exclude+")")
	if !ok || !strings.HasPrefix(rest, "(") {
		return expr, false
	}
	return rest[1:], true
}

// fillIn fills in what does not come from the user. If no interface is chosen, all are.
func (s *site) fillIn(v *visit, f *settingsForm, chosen []string) {
	f.MinSize, f.MaxSize, f.Errors = capture.MinSizeMB, capture.MaxSizeMB, fieldErrors{}
	f.Client, f.Warning = remoteAddr(v.Request).String(), capture.Warning
	f.Was = settingsRevision(s.appliance.Captures.Settings())
	f.Running = s.appliance.Captures.Status(capture.GUI).Running || s.captureElsewhere() != ""
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
	return s.show(v, "settings.html", s.newSettingsForm(v, s.appliance.Captures.Settings()))
}

const settingsTitle = "Edit Packet Capture Settings"

// saveSettings stores the settings. They take effect with the next capture, without a commit.
func (s *site) saveSettings(v *visit) error {
	p := v.PostForm
	f := settingsForm{
		Size: trimmed(p, "size"), Duration: p.Get("duration"), Time: trimmed(p, "time"),
		KeepNewest: p.Get("keep") != "",
		Filter:     p.Get("filter"), Ports: trimmed(p, "ports"), Clients: trimmed(p, "clients"),
		Servers:    trimmed(p, "servers"),
		Expression: trimmed(p, "expression"), LeaveOut: p.Get("leaveout") != "",
	}
	chosen := p["interface"]
	s.fillIn(v, &f, chosen)
	old := s.appliance.Captures.Settings()
	set := f.settings(old)
	f.rejectUnused(s.newSettingsForm(v, old))
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
	if f.LeaveOut && len(f.Errors) == 0 {
		set.Filter.Expression = withExclusion(set.Filter.Expr(), s.ownPackets(v.Request))
		set.Filter.Kind = capture.Custom
		if err := s.checkSettings(&f, set); err != nil {
			return err
		}
	}
	if was := p.Get("was"); was != "" && was != settingsRevision(old) && len(f.Errors) == 0 {
		f.Errors["form"] = "The settings have been changed elsewhere since this form was opened. " +
			"They are: " + settingsSentence(old) + " Submit again to replace them by the settings below."
	}
	if len(f.Errors) > 0 {
		v.title = settingsTitle
		return s.render(v, http.StatusUnprocessableEntity, "settings.html", f)
	}
	if err := s.appliance.Captures.SetSettings(set); err != nil {
		return err
	}
	text := "Success - Packet Capture settings have been changed."
	if f.Running {
		text += " They take effect with the next capture: the capture in progress keeps the " +
			"settings with which it was started."
	}
	return v.redirect(capturePage.Path, "%s", text)
}

// settingsRevision returns a text that differs if settings differ.
func settingsRevision(s capture.Settings) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%+v", s) // a hash does not fail
	return strconv.FormatUint(h.Sum64(), 16)
}

// settingsSentence returns settings as the end of a sentence.
func settingsSentence(s capture.Settings) string {
	var list []string
	for _, row := range s.Rows() {
		list = append(list, row[0]+": "+row[1])
	}
	return strings.Join(list, "; ") + "."
}

func trimmed(form url.Values, field string) string { return strings.TrimSpace(form.Get(field)) }

// checkSettings adds the recorder's refusals to f.Errors. It leaves out what is wrong already, so
// that the rest is checked too.
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

// rejectUnused adds errors to the fields of choices that are not chosen.
func (f *settingsForm) rejectUnused(shown settingsForm) {
	predefined, custom := f.Filter == string(capture.Predefined), f.Filter == string(capture.Custom)
	f.Errors.rejectUnused("time", f.Time, shown.Time, capture.UntilTimeText,
		f.Duration == untilTime)
	f.Errors.rejectUnused("keep", ticked(f.KeepNewest), ticked(shown.KeepNewest),
		capture.UntilTimeText, f.Duration != untilSize)
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

// settings returns the settings of the form and adds errors to f.Errors. Parts of the filter that
// the chosen kind does not use are those of old.
func (f *settingsForm) settings(old capture.Settings) capture.Settings {
	set := capture.Settings{KeepNewest: f.KeepNewest, Filter: old.Filter}
	var err error
	if set.SizeMB, err = strconv.Atoi(strings.TrimSpace(f.Size)); err != nil ||
		set.SizeMB < f.MinSize || set.SizeMB > f.MaxSize {
		f.Errors["size"] = fmt.Sprintf("The size limit must be a number from %d to %d.", f.MinSize,
			f.MaxSize)
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
			f.Errors["ports"] = "Enter a port, a client or a server. To record everything, " +
				"choose No Filters."
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

// setError adds the text of a refusal to a field.
func (f *settingsForm) setError(field string, err error) {
	if text, ok := refusal.Text(err); ok {
		f.Errors[field] = text
	}
}

// assignError adds a refusal to the field that causes it. It returns any other error.
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
	case f.Filter == string(capture.Predefined): // everything else has been checked
		f.Errors["servers"] = text
	default:
		f.Errors["form"] = text
	}
	return nil
}

// A filterCheck is the result of checking a filter.
type filterCheck struct {
	OK     bool   `json:"ok"`
	Text   string `json:"text"`
	Before string `json:"before"` // the expression before the error
	Fault  string `json:"fault"`  // the word that causes the error; "" means the end
	After  string `json:"after"`
}

// checkOf returns the check of a filter with a syntax error.
func checkOf(e *pcapfilter.SyntaxError) filterCheck {
	c := filterCheck{Text: e.Sentence() + wiresharkHint(e.Expr), Before: e.Expr[:e.Offset]}
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

// maxFilter bounds the length of filters.
const maxFilter = 4096

// checkFilter checks the filter of a capture while the user types it. Host names are looked up only
// when the settings are saved, because each lookup is a DNS query.
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

// compile compiles and checks a filter. The result for an empty expression is nil.
func compile(expr string, o pcapfilter.Options) (*pcapfilter.Filter, filterCheck, error) {
	switch {
	case expr == "":
		return nil, filterCheck{OK: true}, nil
	case len(expr) > maxFilter:
		return nil, filterCheck{Text: fmt.Sprintf("The filter must not be longer than %d "+
			"characters.", maxFilter)}, nil
	}
	f, err := pcapfilter.Compile(expr, o)
	var syntax *pcapfilter.SyntaxError
	if errors.As(err, &syntax) {
		return nil, checkOf(syntax), nil
	}
	return f, filterCheck{OK: true, Text: "The filter is valid."}, err
}

// UntilSize returns what the page calls a duration. Templates use it, and the two methods below.
func (settingsForm) UntilSize() string { return capture.UntilSizeText }

// UntilTime returns what the page calls a duration.
func (settingsForm) UntilTime() string { return capture.UntilTimeText }

// Indefinitely returns what the page calls a duration.
func (settingsForm) Indefinitely() string { return capture.IndefinitelyText }

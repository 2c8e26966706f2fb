package commands

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/pcapfilter"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// captureMenu is the menu tcpdump, in diagnostic > network and, before AsyncOS 7, also at the
// main prompt (B24 to B32). A capture that is started here ends when the user leaves the menu
// (B26): by an empty answer, by Ctrl-C, or with the session.
//
// In the inline form args name the operation, and may answer its question. The menu is then shown
// only if the operation started a capture.
func captureMenu(ctx context.Context, env *shell.Env, args []string) error {
	m := &captureMenuSession{env: env, owner: capture.Owner{Side: capture.TCPDump}}
	if env.Login != nil {
		m.owner.Session = strconv.Itoa(env.Login.ID())
	}
	captureCtx, end := context.WithCancel(env.SessionContext)
	defer end()
	menu := shell.Menu{NoTitle: true, Items: []shell.Item{
		{Key: "START", Text: "Start packet capture", Run: func(context.Context) error {
			return m.start(captureCtx)
		}},
		{Key: "STOP", Text: "Stop packet capture", Run: m.stop},
		{Key: "STATUS", Text: "Status capture", Run: m.status},
		{Key: "FILTER", Text: "Set packet capture filter", Run: m.filter},
		{Key: "INTERFACE", Text: "Set packet capture interface", Run: m.iface},
		{Key: "CLEAR", Text: "Remove previous packet captures", Run: m.clear},
	}}
	if len(args) > 0 {
		if err := m.runInline(ctx, args, menu); err != nil || m.started == "" {
			return err
		}
	}
	err := env.Menu(ctx, func() shell.Menu { return menu })
	return errors.Join(err, m.stopOnLeave())
}

// runInline runs the operation that args name. The words after filter and interface are the
// answers to their questions.
func (m *captureMenuSession) runInline(ctx context.Context, args []string, menu shell.Menu) error {
	item, err := menu.Find(args[0])
	if answer := strings.Join(args[1:], " "); err == nil && answer != "" {
		switch item.Key {
		case "FILTER":
			return m.setFilter(answer)
		case "INTERFACE":
			return m.setInterface(answer)
		}
	}
	return runInline(ctx, args, menu)
}

// noFilter is the answer that removes the filter.
const noFilter = "none"

// A captureMenuSession is one session's visit to the menu.
type captureMenuSession struct {
	env     *shell.Env
	owner   capture.Owner
	started string // file of the capture that it started; "" once its end has been reported
}

// start starts a capture that ends with ctx at the latest.
func (m *captureMenuSession) start(ctx context.Context) error {
	s, err := m.env.Appliance.Captures.Start(ctx, m.owner)
	if err != nil {
		return filterRefusal(err)
	}
	m.started = s.File
	m.env.Printf("Packet capture has been started on %s.\n", s.Settings.InterfacesText())
	m.env.Printf("File Name: %s\n", s.File)
	m.env.PrintWrapped("It ends when you leave this menu: use another session for other commands.")
	m.env.PrintWrapped(capture.Warning)
	return nil
}

func (m *captureMenuSession) stop(context.Context) error {
	s, err := m.env.Appliance.Captures.Stop(capture.TCPDump)
	switch {
	case err != nil:
		return err
	case s.Reason != capture.ByUser: // it ended at the same moment
		m.env.Printf("Packet capture has ended: %v.\n", s.Reason)
	default:
		m.env.Printf("Packet capture has been stopped.\n")
	}
	if s.File == m.started {
		m.started = ""
	}
	m.printResult(s)
	return nil
}

// stopOnLeave stops the capture that this session has started, or says how it ended.
func (m *captureMenuSession) stopOnLeave() error {
	s, err := m.env.Appliance.Captures.LeaveMenu(m.owner)
	if errors.Is(err, capture.ErrNotRunning) {
		if s = m.env.Appliance.Captures.Status(capture.TCPDump); m.started == "" || s.File != m.started {
			return nil
		}
		if s.Reason == capture.ByUser {
			m.env.Printf("Packet capture has been stopped in another session.\n")
		} else {
			m.env.Printf("Packet capture has ended: %v.\n", s.Reason)
		}
		m.printResult(s)
		return nil
	}
	if err != nil {
		return err
	}
	m.env.Printf("Packet capture has been stopped because you left the tcpdump menu.\n")
	m.printResult(s)
	return nil
}

// printResult says where the captured packets are.
func (m *captureMenuSession) printResult(s capture.Status) {
	m.env.Printf("File Name: %s (Size = %dK, %s)\n", s.File, s.Size>>10, packetCount(s.Packets))
	if s.Dropped > 0 {
		m.env.Printf("Packets Dropped: %d\n", s.Dropped)
	}
	m.env.PrintWrapped("It is in the directory diagnostic: fetch it with SCP or FTP.")
}

func packetCount(n uint64) string {
	if n == 1 {
		return "1 packet"
	}
	return fmt.Sprintf("%d packets", n)
}

func (m *captureMenuSession) status(context.Context) error {
	s := m.env.Appliance.Captures.Status(capture.TCPDump)
	set := m.env.Appliance.Captures.MenuSettings()
	iface, filter, file := set.Interface, set.Filter, "Last Capture"
	if s.Running {
		iface, filter, file = s.Settings.InterfacesText(), s.Settings.Filter.Expr(), "File Name"
		m.env.Printf("Status: Packet capture in progress (Duration = %s)\n",
			capture.FormatDuration(s.Elapsed))
		if s.Owner != m.owner {
			m.env.Printf("It was started in another session.\n")
		}
	} else {
		m.env.Printf("Status: No packet capture in progress\n")
		if s.Reason != capture.NotEnded && s.Reason != capture.ByUser {
			m.env.Printf("The last capture ended: %v.\n", s.Reason)
		}
	}
	if s.File != "" {
		m.env.Printf("%s: %s (Size = %dK, %s)\n", file, s.File, s.Size>>10, packetCount(s.Packets))
	}
	if s.Dropped > 0 {
		m.env.Printf("Packets Dropped: %d\n", s.Dropped)
	}
	m.env.Printf("Interface: %s\nFilter: %s\n", iface, filterOrNone(filter))
	return nil
}

func filterOrNone(expression string) string {
	if expression == "" {
		return noFilter
	}
	return expression
}

func (m *captureMenuSession) filter(ctx context.Context) error {
	question := fmt.Sprintf(
		"Enter the filter in the syntax of tcpdump, or %q to capture every packet.", noFilter)
	def := filterOrNone(m.env.Appliance.Captures.MenuSettings().Filter)
	_, err := m.env.Ask(ctx, question, def, m.setFilter)
	return err
}

// setFilter sets the filter that an administrator has entered.
func (m *captureMenuSession) setFilter(answer string) error {
	recorder := m.env.Appliance.Captures
	set := recorder.MenuSettings()
	if set.Filter = answer; strings.EqualFold(answer, noFilter) {
		set.Filter = ""
	}
	if err := recorder.SetMenuSettings(set); err != nil {
		return filterRefusal(err)
	}
	m.confirmSetting("The filter is: " + filterOrNone(set.Filter))
	return nil
}

func (m *captureMenuSession) iface(ctx context.Context) error {
	recorder := m.env.Appliance.Captures
	name := recorder.MenuSettings().Interface
	if err := m.env.Form(ctx,
		shell.OneOf(&name, "Choose the interface to capture on.", recorder.Interfaces()...),
	); err != nil {
		return err
	}
	return m.setInterface(name)
}

// setInterface sets the interface of that name, in upper or lower case.
func (m *captureMenuSession) setInterface(name string) error {
	recorder := m.env.Appliance.Captures
	set := recorder.MenuSettings()
	set.Interface = name
	for _, n := range recorder.Interfaces() {
		if strings.EqualFold(n, name) {
			set.Interface = n
		}
	}
	if err := recorder.SetMenuSettings(set); err != nil {
		return filterRefusal(err)
	}
	m.confirmSetting("Packets will be captured on " + set.Interface + ".")
	return nil
}

// confirmSetting prints text, which confirms a changed setting, and says that a running
// capture keeps its settings.
func (m *captureMenuSession) confirmSetting(text string) {
	m.env.PrintWrapped(text)
	if m.env.Appliance.Captures.Status(capture.TCPDump).Running {
		m.env.PrintWrapped("The capture in progress keeps the settings it was started with.")
	}
}

func (m *captureMenuSession) clear(ctx context.Context) error {
	recorder := m.env.Appliance.Captures
	list, err := recorder.MenuFiles()
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return refusal.New("There are no previous packet captures.")
	}
	sure, err := m.env.Confirm(ctx, "Are you sure you want to remove "+captureCount(list)+"?", false)
	if err != nil || !sure {
		return err
	}
	if list, err = recorder.RemoveMenuFiles(); err != nil {
		return err
	}
	m.env.Printf("Removed: %s.\n", captureCount(list))
	return nil
}

// captureCount returns the number and size of files: "2 packet captures (15K)".
func captureCount(list []fs.FileInfo) string {
	size := int64(0)
	for _, f := range list {
		size += f.Size()
	}
	noun := "packet captures"
	if len(list) == 1 {
		noun = "packet capture"
	}
	return fmt.Sprintf("%d %s (%dK)", len(list), noun, size>>10)
}

// filterRefusal replaces the refusal of a filter by one that shows the expression, with a
// caret below the fault. It returns any other error as it is.
func filterRefusal(err error) error {
	var syntax *pcapfilter.SyntaxError
	if !errors.As(err, &syntax) {
		return err
	}
	return refusal.Newf("The filter is not valid at character %d: %s\n  %s\n  %s",
		syntax.Column(), syntax.Reason(), syntax.Expr, syntax.Caret())
}

package capture

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/esasim/esasim/appliance/files"
)

// MenuSettings are the settings of the menu tcpdump (B25). Its captures have no limit of size
// or time, like those of the program tcpdump (B31).
type MenuSettings struct {
	// Interface is a name such as "Data 1"; "" means the first interface.
	Interface string `json:"interface"`
	// Filter is in the language of tcpdump (B27); "" selects every packet.
	Filter string `json:"filter,omitempty"`
}

// Warning is the vendor's warning about captures (B31).
const Warning = "Warning: This command can cause the ESA disk space to become full, and can cause " +
	"performance degradation. Cisco recommends that you use it only with the assistance of a Cisco " +
	"TAC engineer."

// menuPrefix begins the names of the menu's files.
const menuPrefix = "tcpdump-"

// factoryMenuSettings returns the menu's settings of a new appliance whose factory settings
// are s.
func factoryMenuSettings(s Settings) MenuSettings {
	if len(s.Interfaces) == 0 {
		return MenuSettings{}
	}
	return MenuSettings{Interface: s.Interfaces[0]}
}

// captureSettings returns the settings of a capture that is started with m.
func (m MenuSettings) captureSettings() Settings {
	s := Settings{Filter: Filter{Kind: Custom, Expression: m.Filter}}
	if m.Interface != "" {
		s.Interfaces = []string{m.Interface}
	}
	return s
}

// MenuSettings returns the settings of the menu's next capture. If no interface has ever been
// chosen, it is the first one.
func (r *Recorder) MenuSettings() MenuSettings {
	r.mu.Lock()
	m := r.menu
	r.mu.Unlock()
	if names := r.Interfaces(); m.Interface == "" && len(names) > 0 {
		m.Interface = names[0]
	}
	return m
}

// SetMenuSettings replaces the menu's settings, without a commit. A running capture keeps the
// settings with which it started. The errors are those of SetSettings.
func (r *Recorder) SetMenuSettings(m MenuSettings) error {
	m.Filter = strings.TrimSpace(oneLine(m.Filter))
	if _, err := r.sources(m.captureSettings()); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.menu
	r.menu = m
	if err := r.save(r.runningName()); err != nil {
		r.menu = old
		return err
	}
	return nil
}

// settingsOf returns the settings with which a capture of the side starts.
func (r *Recorder) settingsOf(side Side) Settings {
	if side == TCPDump {
		return r.MenuSettings().captureSettings()
	}
	return r.Settings()
}

// LeaveMenu ends the capture that owner, a session in the menu, started there, because the
// session leaves the menu (B26). It blocks until the capture's files are closed and returns
// its last status. If owner has no capture, it returns ErrNotRunning.
func (r *Recorder) LeaveMenu(owner Owner) (Status, error) {
	c := r.runningOf(TCPDump)
	if c == nil || c.owner != owner {
		return Status{}, ErrNotRunning
	}
	c.end(MenuLeft, nil)
	<-c.done
	return c.last, nil
}

// MenuFiles lists the menu's stored captures, sorted by name. The files of a running capture
// are left out.
func (r *Recorder) MenuFiles() ([]fs.FileInfo, error) {
	r.mu.Lock()
	running := r.runningName()
	r.mu.Unlock()
	all, err := r.Files(TCPDump)
	if err != nil {
		return nil, err
	}
	var list []fs.FileInfo
	for _, f := range all {
		if strings.HasPrefix(f.Name(), menuPrefix) && (running == "" || !isFileOf(f.Name(), running)) {
			list = append(list, f)
		}
	}
	return list, nil
}

// RemoveMenuFiles removes the files that MenuFiles lists, and returns the removed ones. A
// reader that has one of them open can read it to its end.
func (r *Recorder) RemoveMenuFiles() ([]fs.FileInfo, error) {
	list, err := r.MenuFiles()
	if err != nil {
		return nil, err
	}
	var removed []fs.FileInfo
	for _, f := range list {
		err := r.options.Files.Remove(path.Join(files.Diagnostic, f.Name()))
		if errors.Is(err, fs.ErrNotExist) { // another session has removed it
			continue
		}
		if err != nil {
			return removed, fmt.Errorf("remove captures: %w", err)
		}
		removed = append(removed, f)
	}
	return removed, nil
}

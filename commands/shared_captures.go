package commands

import (
	"errors"
	"syscall"
	"unicode/utf8"

	"github.com/esasim/esasim/appliance/capture"
	"github.com/esasim/esasim/appliance/pcapfilter"
	"github.com/esasim/esasim/appliance/refusal"
)

// What packetcapture and the menu tcpdump share: the recorder's objections in words.

// captureStartRefusal words what keeps a capture of that side from being started (B22);
// other errors are internal.
func captureStartRefusal(err error, side capture.Side) error {
	var running *capture.RunningError
	switch {
	case errors.As(err, &running) && running.Side == side:
		return refusal.New("A packet capture is in progress already.")
	case errors.As(err, &running):
		where := map[capture.Side]string{
			capture.CLI:     "with the command packetcapture",
			capture.GUI:     "in the GUI",
			capture.TCPDump: "in the menu tcpdump of another session",
		}[running.Side]
		return refusal.Newf("A packet capture that was started %s is in progress. Only one capture can run at a time: it must be stopped there first.", where)
	case errors.Is(err, syscall.ENOSPC):
		return refusal.New("The packet capture cannot be started: there is no disk space left.")
	case errors.Is(err, errors.ErrUnsupported):
		return refusal.New("This appliance's network does not let packets be captured.")
	}
	return captureRefusal(err)
}

// captureRefusal words the recorder's objections to settings; other errors are
// internal.
func captureRefusal(err error) error {
	var setting *capture.SettingError
	var gone *capture.InterfaceError
	var syntax *pcapfilter.SyntaxError
	switch {
	case errors.As(err, &setting):
		return refusal.New(setting.Text + ".")
	case errors.As(err, &gone):
		return refusal.Newf("The interface %s does not exist. Choose another one.", gone.Name)
	case errors.As(err, &syntax):
		return refusal.Newf("The filter is not valid at character %d: %s\n  %s\n  %s",
			utf8.RuneCountInString(syntax.Expr[:syntax.Offset])+1, syntax.Message, syntax.Expr, syntax.Caret())
	}
	return err
}

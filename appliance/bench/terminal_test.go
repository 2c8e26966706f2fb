package bench_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"

	"github.com/esasim/esasim/appliance/appliancetest"
	"github.com/esasim/esasim/appliance/browsertest"
)

// dialTerminal opens a terminal. Each change is made to the header of the request.
func (c *client) dialTerminal(t *testing.T, change func(http.Header)) (*websocket.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), browsertest.StepTimeout)
	t.Cleanup(cancel)
	header := http.Header{}
	if change != nil {
		change(header)
	}
	conn, answer, err := websocket.Dial(ctx, c.base+"/terminal/socket",
		&websocket.DialOptions{HTTPClient: c.Client, HTTPHeader: header})
	if answer != nil && answer.Body != nil {
		answer.Body.Close()
	}
	return conn, err
}

// readUntil returns the output up to a text.
func readUntil(t *testing.T, conn *websocket.Conn, text string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), browsertest.StepTimeout)
	defer cancel()
	var out strings.Builder
	for !strings.Contains(out.String(), text) {
		_, data, err := conn.Read(ctx)
		if err != nil {
			t.Fatalf("%v, after %q", err, out.String())
		}
		out.Write(data)
	}
	return out.String()
}

func send(t *testing.T, conn *websocket.Conn, kind websocket.MessageType, text string) {
	t.Helper()
	if err := conn.Write(t.Context(), kind, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// TestTerminalIsTheConsole: it asks for user and passphrase, and ends with the bench.
func TestTerminalIsTheConsole(t *testing.T) {
	_, c := open(t)
	conn, err := c.dialTerminal(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	send(t, conn, websocket.MessageText, `{"columns": 132, "rows": 40}`)
	readUntil(t, conn, "login: ")
	send(t, conn, websocket.MessageBinary, appliancetest.User+"\r")
	readUntil(t, conn, "assword:")
	send(t, conn, websocket.MessageBinary, appliancetest.Passphrase+"\r")
	readUntil(t, conn, "example.com> ")
	send(t, conn, websocket.MessageText, "nonsense")
	send(t, conn, websocket.MessageBinary, "version\r")
	readUntil(t, conn, "Model: C100V")
}

// TestTerminalRefusesOthers: without the cookie, and from a page of another site.
func TestTerminalRefusesOthers(t *testing.T) {
	_, c := open(t)
	for name, change := range map[string]func(http.Header){
		"another origin": func(h http.Header) { h.Set("Origin", "http://attacker.example") },
		"another port":   func(h http.Header) { h.Set("Origin", "http://127.0.0.1:1") },
	} {
		if conn, err := c.dialTerminal(t, change); err == nil {
			conn.CloseNow()
			t.Errorf("%s is accepted", name)
		}
	}
	c.Jar = nil
	if conn, err := c.dialTerminal(t, nil); err == nil {
		conn.CloseNow()
		t.Error("a client without the cookie is accepted")
	}
}

// TestTerminalsAreBounded: another terminal than the last one is refused until one is closed.
func TestTerminalsAreBounded(t *testing.T) {
	_, c := open(t)
	var last *websocket.Conn
	for range 8 {
		conn, err := c.dialTerminal(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseNow()
		send(t, conn, websocket.MessageText, `{"columns": 80, "rows": 24}`)
		readUntil(t, conn, "login: ")
		last = conn
	}
	if conn, err := c.dialTerminal(t, nil); err == nil {
		conn.CloseNow()
		t.Error("too many terminals are open")
	}
	last.CloseNow()
	for { // the server notices when it reads
		conn, err := c.dialTerminal(t, nil)
		if err == nil {
			conn.CloseNow()
			return
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}

// TestBrowserTerminal logs in with the keyboard, edits a line, pastes, and leaves with Escape and Tab.
func TestBrowserTerminal(t *testing.T) {
	b := appliancetest.Start(t)
	w := openWindow(t, b)
	w.open("/terminal")
	shows := func(text string) {
		t.Helper()
		w.Do(chromedp.WaitReady(browsertest.XPath(`//*[@data-glass]/div[contains(., %q)]`, text)))
	}
	keys := chromedp.CSS("[data-keys]")
	shows("login:")
	w.Do(chromedp.SendKeys(keys, "admin\r"))
	shows("assword:")
	w.Do(chromedp.SendKeys(keys, appliancetest.Passphrase+"\r"))
	shows("example.com> ")
	// "versionx", without the x; then the beginning of a word that Tab completes.
	w.Do(chromedp.SendKeys(keys, "versionx\b\r"))
	shows("Model: C100V")
	w.Do(chromedp.SendKeys(keys, "dnsfl\t"))
	shows("example.com> dnsflush")
	paste(w, "hostname\n")
	shows("The command takes no arguments.")
	w.picture("terminal")
	w.Do(chromedp.SendKeys(keys, "\x1b\t"))
	if browsertest.Ask(w.Window, chromedp.Evaluate[bool](`document.activeElement.matches("[data-keys]")`)) {
		t.Error("Escape and Tab do not leave the terminal")
	}
}

// paste pastes a text into the terminal.
func paste(w *window, text string) {
	w.t.Helper()
	browsertest.Ask(w.Window, chromedp.Evaluate[bool](fmt.Sprintf(`(() => {
		const data = new DataTransfer();
		data.setData("text", %q);
		const e = new ClipboardEvent("paste", { clipboardData: data, cancelable: true });
		document.querySelector("[data-keys]").dispatchEvent(e);
		return e.defaultPrevented;
	})()`, text)))
}

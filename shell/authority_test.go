package shell_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/esasim/esasim/appliance"
	"github.com/esasim/esasim/appliance/config"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

// editUser commits a change of an account. A nil change removes it.
func editUser(t testing.TB, app *appliance.Appliance, name string, change func(*users.Account)) {
	t.Helper()
	d := app.Config.NewDraft()
	if err := users.Section.Edit(d, func(v *users.Accounts) error {
		if change == nil {
			v.List = slices.DeleteFunc(v.List, func(a users.Account) bool { return a.Name == name })
			return nil
		}
		change(v.Find(name))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Config.Commit(t.Context(), d, config.CommitInfo{}); err != nil {
		t.Fatal(err)
	}
}

// dialAs logs in as kim, whom newKim has added.
func dialAs(t testing.TB, s *shell.Server, auth ...gossh.AuthMethod) *gossh.Client {
	t.Helper()
	c := clientConfig("kim", "passphrase1")
	if auth != nil {
		c.Auth = auth
	}
	conn, err := gossh.Dial("tcp", s.Addr().String(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Hashes of passphrases that no test uses.
const unknownHash = "$2a$10$nEgk5MLJMmbko66wbLEYNeJWM3dJvyGN8gzcmPSGXbSGnqY7DLHcq"

func lock(a *users.Account)    { a.Locked = true }
func rekey(a *users.Account)   { a.Hash = unknownHash }
func dropKey(a *users.Account) { a.Keys = nil }

func setRole(r users.Role) func(*users.Account) { return func(a *users.Account) { a.Role = r } }

// Sessions that wait at a prompt end while the change of their account is being committed.
func TestSessionsEndWithTheirAccount(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*users.Account)
		byKey  bool
		want   string // "" if the session goes on
		log    string
	}{
		"removed": {nil, false, "The session was closed because the account kim was removed.",
			"because of a removed account"},
		"locked": {lock, false, "The session was closed because the account kim was locked.",
			"because of a locked account"},
		"passphrase": {rekey, false,
			"The session was closed because the passphrase of the account kim was changed.",
			"because of a changed passphrase"},
		"key removed": {dropKey, true,
			"The session was closed because the public key that it used was removed from the\r\n" +
				"account kim.", "because of a removed public key"},
		"key, locked": {lock, true, "The session was closed because the account kim was locked.",
			"because of a locked account"},
		"key, other passphrase":  {rekey, true, "", ""},
		"passphrase, no key":     {dropKey, false, "", ""},
		"passphrase, other role": {setRole(users.Guest), false, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			app, _ := newAppliance(t)
			signer := newSigner(t, 1)
			addUser(t, app, "kim", "passphrase1", users.Operator, signer.PublicKey())
			s := startServer(t, app, nil, whoamiCommand, askCommand)
			var auth []gossh.AuthMethod
			if c.byKey {
				auth = append(auth, gossh.PublicKeys(signer))
			}
			conn := dialAs(t, s, auth...)
			atPrompt := openShell(t, conn, 80, 24)
			atPrompt.readUntil(prompt)
			asking := openShell(t, dialAs(t, s, auth...), 80, 24)
			asking.readUntil(prompt)
			asking.typeKeys("ask\r")
			asking.readUntil("[]> ")
			admin := openShell(t, dial(t, s), 80, 24)
			admin.readUntil(prompt)
			editUser(t, app, "kim", c.change)
			admin.typeKeys("whoami\r")
			admin.readUntil("Administrator\r\n" + prompt)
			if c.want == "" {
				atPrompt.typeKeys("whoami\r")
				atPrompt.readUntil(prompt)
				asking.typeKeys("x\ry\r")
				asking.readUntil("x, y\r\n" + prompt)
				return
			}
			for what, sh := range map[string]*shellClient{"prompt": atPrompt, "question": asking} {
				if got := sh.readAll(); got != "\r\n\r\n"+c.want+"\r\n" {
					t.Errorf("at a %s: %q, want %q", what, got, c.want)
				}
				if exit := new(gossh.ExitError); !errors.As(sh.Wait(), &exit) || exit.ExitStatus() != 1 {
					t.Errorf("at a %s: exit status %v, want 1", what, exit)
				}
			}
			if err := conn.Wait(); err == nil {
				t.Error("the connection goes on")
			}
			awaitLog(t, app, c.log)
		})
	}
}

// awaitLog waits until the authentication log has text.
func awaitLog(t testing.TB, app *appliance.Appliance, text string) {
	t.Helper()
	app.Logs.AwaitWritten(appliance.AuthenticationLog, maxWait)
	f, err := app.Files.Open("data/pub/authentication/authentication.current")
	if err != nil {
		t.Skip("there is no authentication log: ", err)
	}
	defer f.Close()
	b, _ := io.ReadAll(f)
	if !strings.Contains(string(b), text) {
		t.Errorf("the authentication log has no %q:\n%s", text, b)
	}
}

func TestConnectionWithoutChannelsEndsWithItsAccount(t *testing.T) {
	app, _ := newAppliance(t)
	addUser(t, app, "kim", "passphrase1", users.Operator, nil)
	c := dialAs(t, startServer(t, app, nil))
	editUser(t, app, "kim", lock)
	if err := c.Wait(); err == nil {
		t.Error("the connection goes on")
	}
}

// New channels of a connection are refused while old ones are not closed yet.
func TestRevokedConnectionOpensNoChannels(t *testing.T) {
	app, _ := newAppliance(t)
	addUser(t, app, "kim", "passphrase1", users.Operator, nil)
	c := dialAs(t, startServer(t, app, nil))
	if _, _, err := c.OpenChannel("session", nil); err != nil {
		t.Fatal(err)
	}
	editUser(t, app, "kim", lock)
	_, err := c.NewSession()
	refused := new(gossh.OpenChannelError)
	if !errors.As(err, &refused) || refused.Reason != gossh.Prohibited ||
		refused.Message != "The session was closed because the account kim was locked." {
		t.Errorf("a new channel: %v", err)
	}
}

func TestRoleAppliesFromTheNextCommandOn(t *testing.T) {
	app, _ := newAppliance(t)
	addUser(t, app, "kim", "passphrase1", users.Operator, nil)
	operate := command("operate", func(ctx context.Context, env *shell.Env) error {
		_, err := env.Ask(ctx, "Operate?", "", nil)
		return err
	})
	operate.Roles = []users.Role{users.Administrator, users.Operator}
	watch := command("watch", func(ctx context.Context, env *shell.Env) error {
		env.Printf("watching\n")
		<-ctx.Done()
		return ctx.Err()
	})
	watch.Roles = operate.Roles
	list := command("list", func(_ context.Context, env *shell.Env) error {
		for _, c := range env.Commands {
			env.Printf("%s ", c.Name)
		}
		env.Printf("\n")
		return nil
	})
	sh := openShell(t, dialAs(t, startServer(t, app, nil, operate, watch, list, whoamiCommand)), 80, 24)
	sh.readUntil(prompt)
	const denied = "\r\nYour user role does not permit the command: "
	sh.exchange("as operator", "list\r", "list\r\r\n\r\nlist operate watch whoami \r\n"+prompt)
	editUser(t, app, "kim", setRole(users.Guest))
	sh.exchange("demoted", "operate\r", "operate\r\r\n"+denied+"operate\r\n"+prompt)
	sh.exchange("demoted", "list\r", "list\r\r\n\r\nlist whoami \r\n"+prompt)
	sh.exchange("demoted", "op\t\r", "op\r\r\n\r\nUnknown command or missing feature key: op\r\n"+prompt)
	editUser(t, app, "kim", setRole(users.Administrator))
	sh.exchange("promoted", "list\r", "list\r\r\n\r\nlist operate watch whoami \r\n"+prompt)

	sh.exchange("a question", "operate\r", "operate\r\r\n\r\nOperate?\r\n[]> ")
	editUser(t, app, "kim", setRole(users.Guest))
	sh.exchange("demoted at a question", "", "\r\n"+denied+"operate\r\n"+prompt)
	editUser(t, app, "kim", setRole(users.Operator))
	sh.exchange("a command runs", "watch\r", "watch\r\r\n\r\nwatching\r\n")
	editUser(t, app, "kim", setRole(users.Guest))
	sh.exchange("demoted while it runs", "", denied[2:]+"watch\r\n"+prompt)
}

// A session that changes its own passphrase, or locks its own account, goes on. The other sessions
// of the account end, those of the same connection too.
func TestSessionThatChangesItsAccountGoesOn(t *testing.T) {
	for name, change := range map[string]func(*users.Account){"passphrase": rekey, "lock": lock} {
		t.Run(name, func(t *testing.T) {
			app, _ := newAppliance(t)
			addUser(t, app, "kim", "passphrase1", users.Administrator, nil)
			commit := command("commit", func(ctx context.Context, env *shell.Env) error {
				return users.Section.CommitNow(ctx, env.Appliance.Config, env.Draft, config.CommitInfo{},
					func(v *users.Accounts) error { change(v.Find("kim")); return nil })
			})
			s := startServer(t, app, nil, commit, whoamiCommand)
			c := dialAs(t, s)
			own, sibling := openShell(t, c, 80, 24), openShell(t, c, 80, 24)
			other := openShell(t, dialAs(t, s), 80, 24)
			for _, sh := range []*shellClient{own, sibling, other} {
				sh.readUntil(prompt)
			}
			own.typeKeys("commit\r")
			own.readUntil(prompt)
			for what, sh := range map[string]*shellClient{"same connection": sibling, "another": other} {
				if got := sh.readAll(); !strings.Contains(got, "The session was closed because the") {
					t.Errorf("%s: %q", what, got)
				}
			}
			own.typeKeys("whoami\r")
			own.readUntil("Administrator\r\n" + prompt)
			openShell(t, c, 80, 24).readUntil(prompt)
		})
	}
}

func TestSubsystemsEndWithTheirAccount(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*users.Account)
		want   string
	}{
		"locked":  {lock, "The session was closed because the account kim was locked.\n"},
		"demoted": {setRole(users.Guest), "The session was closed because the role of the account kim does not permit it.\n"},
	} {
		for _, kind := range []string{"subsystem", "exec"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				app, _ := newAppliance(t)
				addUser(t, app, "kim", "passphrase1", users.Operator, nil)
				serve := func(_ context.Context, ch shell.Channel) {
					io.WriteString(ch, "ready\n") //nolint:errcheck // a test
					io.Copy(io.Discard, ch)       //nolint:errcheck // a test
					if ch.Check() == nil {
						t.Error("Check still permits the session")
					}
					ch.Exit(0) //nolint:errcheck // a test
				}
				s := startServer(t, app, func(s *shell.Server) {
					s.Subsystems = map[string]func(context.Context, shell.Channel){"sftp": serve}
					s.Exec = func(string) func(context.Context, shell.Channel) { return serve }
				})
				sh := newShellClient(t, dialAs(t, s))
				stderr, err := sh.StderrPipe()
				if err != nil {
					t.Fatal(err)
				}
				if kind == "exec" {
					err = sh.Start("scp -f x")
				} else {
					err = sh.RequestSubsystem("sftp")
				}
				if err != nil {
					t.Fatal(err)
				}
				sh.readUntil("ready\n")
				editUser(t, app, "kim", c.change)
				if b, _ := io.ReadAll(stderr); string(b) != c.want {
					t.Errorf("stderr: %q, want %q", b, c.want)
				}
				if kind == "exec" {
					if exit := new(gossh.ExitError); !errors.As(sh.Wait(), &exit) || exit.ExitStatus() != 1 {
						t.Errorf("exit status %v, want 1", exit)
					}
				}
			})
		}
	}
}

func TestConsoleSessionEndsWithItsAccount(t *testing.T) {
	app, _ := newAppliance(t)
	addUser(t, app, "kim", "passphrase1", users.Operator, nil)
	keysIn, keys := io.Pipe()
	screen, screenOut := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	c := &shell.Console{
		Appliance: app, Commands: []*shell.Command{whoamiCommand},
		In: keysIn, Out: screenOut, Size: func() (int, int) { return 80, 24 },
	}
	ended := make(chan error)
	go func() { ended <- c.Serve(ctx) }()
	u := &consoleUser{t: t, serialLine: serialLine{screen, keys}}
	const login = "\r\nAsyncOS example.com (ttyv0)\r\n\r\nlogin: "
	u.exchange("kim\rpassphrase1\r", login+"kim\r\r\nPassword:\r\r\n"+welcome14)
	editUser(t, app, "kim", setRole(users.Guest))
	u.exchange("whoami\r", "whoami\r\r\n\r\nkim from invalid IP as Guest\r\n"+prompt)
	editUser(t, app, "kim", lock)
	u.exchange("", "\r\n\r\nThe session was closed because the account kim was locked.\r\n"+login)
	cancel()
	go io.Copy(io.Discard, screen) //nolint:errcheck // a test
	<-ended
}

package commands

import (
	"context"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/logs/upload"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// What logconfig asks of subscriptions whose finished files are sent to a server.

const deliverToQuestion = "Hostname to deliver the logs:"

// carryForm asks for the server and what to send there. Host keys that the dialogue
// brings up are added to keys.
func uploadForm(env *shell.Env, s *logs.Subscription, keys *[]logs.KnownHost) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		r := &s.Remote
		was := *r
		scp := s.Method == logs.SCPPush
		port, dir := int(r.Port), r.Dir
		if port == 0 {
			port = int(upload.SCP.Port())
		}
		if dir == "" {
			dir = "."
		}
		setIntervalSchedule(s) // a file may have said otherwise
		err := d.Form(ctx,
			shell.Number(&s.IntervalSeconds, "Maximum time to wait before transferring, in seconds:", logs.MinInterval, logs.MaxInterval),
			shell.Text(&r.Host, deliverToQuestion, logs.CheckHost),
			shell.When(func() bool { return scp }, shell.Number(&port, "Port to connect to on the remote host:", 1, 65535)),
			shell.Text(&r.User, "Username on the remote host:", logs.CheckUser),
			shell.When(func() bool { return !scp }, remotePassphraseField(env, r, was)),
			shell.Text(&dir, "Directory on the remote host to place the logs:", logs.CheckRemoteDir),
			shell.Text(&s.File, fileNameQuestion, logs.CheckFile),
			fileSize(&s.MaxSize),
			shell.When(func() bool { return scp }, func(ctx context.Context, d shell.Dialogue) error {
				r.Port = uint16(port)
				return hostKeyForm(env, r, keys)(ctx, d)
			}),
		)
		if err != nil {
			return err
		}
		if !scp {
			r.Port, r.CheckKey = 0, false
		} else {
			r.Password = ""
		}
		if r.Dir = dir; dir == "." {
			r.Dir = ""
		}
		return nil
	}
}

// byInterval has files rolled over, and so sent, after a time.
func setIntervalSchedule(s *logs.Subscription) {
	if s.Schedule != logs.Interval {
		s.IntervalSeconds = logs.DefaultUploadInterval
	}
	s.Schedule, s.Day, s.TimeOfDay = logs.Interval, "", ""
}

// remotePassphrase asks without echo. The empty answer keeps what there is, if the login
// is still that of was.
func remotePassphraseField(env *shell.Env, r *logs.UploadTarget, was logs.UploadTarget) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		if !r.SameLogin(was) {
			r.Password = ""
		}
		word := passphraseWord(env)
		question := strings.ToUpper(word[:1]) + word[1:] + " on the remote host:"
		if r.Password != "" {
			question = strings.TrimSuffix(question, ":") + ", or nothing to keep the present one:"
		}
		answer, err := d.AskSecret(ctx, question, nil)
		if err == nil && answer != "" {
			r.Password = answer
		}
		return err
	}
}

// hostKeyForm asks whether the server's host key is checked, and for the key unless one
// is known.
func hostKeyForm(env *shell.Env, r *logs.UploadTarget, keys *[]logs.KnownHost) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		if err := shell.YesNo(&r.CheckKey, "Do you want to enable host key checking?")(ctx, d); err != nil || !r.CheckKey {
			return err
		}
		known := slices.ContainsFunc(logs.HostKeys.Get(env.Draft).List, func(k logs.KnownHost) bool {
			return k.Host == r.Host && k.Port == r.Port
		})
		if known {
			again := false
			err := shell.YesNo(&again, "A host key of "+hostAndPort(r.Host, r.Port)+" is known. Do you want to add another one?")(ctx, d)
			if err != nil || !again {
				return err
			}
		}
		added, err := askHostKeys(ctx, env, r.Host, r.Port)
		*keys = append(*keys, added...)
		return err
	}
}

// askHostKeys gets keys of a server from it or from the administrator. There may be
// none, if that is what the administrator wants.
func askHostKeys(ctx context.Context, env *shell.Env, host string, port uint16) ([]logs.KnownHost, error) {
	for {
		i, err := env.Choose(ctx, "Do you want to scan the host for its SSH keys, or enter a key?", 0, "Scan automatically", "Enter manually")
		if err != nil {
			return nil, err
		}
		if i == 1 {
			return enterHostKey(ctx, env, host, port)
		}
		keys, err := scanHostKeys(ctx, env, host, port)
		text, refused := refusal.Text(err)
		if !refused {
			return keys, err
		}
		env.PrintWrapped(text)
	}
}

func enterHostKey(ctx context.Context, env *shell.Env, host string, port uint16) ([]logs.KnownHost, error) {
	var key string
	_, err := env.Ask(ctx, "Enter the public host key of "+hostAndPort(host, port)+", such as ssh-ed25519 AAAA...", "", func(answer string) (err error) {
		if key, _, err = upload.ParseKey(answer); err != nil {
			return refusal.New("This is not a public key. Enter it on one line, as it is in a file of known hosts.")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return []logs.KnownHost{{Host: host, Port: port, Key: key}}, nil
}

// scanHostKeys asks a server, and the administrator whether to trust it.
func scanHostKeys(ctx context.Context, env *shell.Env, host string, port uint16) ([]logs.KnownHost, error) {
	found, err := env.Appliance.ScanHostKeys(ctx, host, port)
	if err != nil {
		return nil, err
	}
	var keys []logs.KnownHost
	env.Printf("\n")
	for _, k := range found {
		env.Printf("%s\n%s\n", k, fingerprint(k))
		keys = append(keys, logs.KnownHost{Host: host, Port: port, Key: k})
	}
	trust, err := env.Confirm(ctx, "Add the preceding host key(s) for "+hostAndPort(host, port)+"?", true)
	if err != nil || !trust {
		return nil, err
	}
	return keys, nil
}

func fingerprint(key string) string {
	_, print, err := upload.ParseKey(key)
	if err != nil {
		return "" // a commit has checked it
	}
	return print
}

// addHostKeys puts keys into the configuration.
func addHostKeys(env *shell.Env, keys []logs.KnownHost) error {
	if len(keys) == 0 {
		return nil
	}
	return editSection(env, logs.HostKeys, func(v *logs.KnownHosts) error {
		for _, k := range keys {
			v.Add(k)
		}
		return nil
	})
}

// printLogKey shows the key with which the appliance logs in to servers.
func printLogKey(env *shell.Env) error {
	key, err := env.Appliance.LogKey()
	if err != nil {
		return err
	}
	env.Printf("\n%s\n", key)
	return nil
}

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

// The questions of logconfig for subscriptions whose finished files are sent to a server.

const deliverToQuestion = "Hostname to deliver the logs:"

// uploadForm asks for the server, the account and the files. It appends host keys that the
// administrator has accepted to keys.
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
		setIntervalSchedule(s) // a loaded configuration may have another schedule
		err := d.Form(ctx,
			shell.Number(&s.IntervalSeconds,
				"Maximum time to wait before transferring, in seconds:", logs.MinInterval, logs.MaxInterval),
			shell.Text(&r.Host, deliverToQuestion, logs.CheckHost),
			shell.When(func() bool { return scp },
				shell.Number(&port, "Port to connect to on the remote host:", 1, 65535)),
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

// setIntervalSchedule schedules the rollover by interval. Each rollover sends a file.
func setIntervalSchedule(s *logs.Subscription) {
	if s.Schedule != logs.Interval {
		s.IntervalSeconds = logs.DefaultUploadInterval
	}
	s.Schedule, s.Day, s.TimeOfDay = logs.Interval, "", ""
}

// remotePassphraseField asks for the passphrase, without echo. An empty answer keeps the
// present passphrase, but only if server and user are still those of was.
func remotePassphraseField(
	env *shell.Env, r *logs.UploadTarget, was logs.UploadTarget) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		if !r.SameLogin(was) {
			r.Password = ""
		}
		word := passphraseWord(env)
		question := strings.ToUpper(word[:1]) + word[1:] + " on the remote host:"
		if r.Password != "" {
			question = strings.TrimSuffix(question, ":") + ", or nothing to keep the current one:"
		}
		answer, err := d.AskSecret(ctx, question, nil)
		if err == nil && answer != "" {
			r.Password = answer
		}
		return err
	}
}

// hostKeyForm asks whether the server's host key is checked, and if so, for the key unless one
// is known.
func hostKeyForm(env *shell.Env, r *logs.UploadTarget, keys *[]logs.KnownHost) shell.Field {
	return func(ctx context.Context, d shell.Dialogue) error {
		err := d.Form(ctx, shell.YesNo(&r.CheckKey, "Do you want to enable host key checking?"))
		if err != nil || !r.CheckKey {
			return err
		}
		known := slices.ContainsFunc(logs.HostKeys.Get(env.Draft).List, func(k logs.KnownHost) bool {
			return k.Host == r.Host && k.Port == r.Port
		})
		if known {
			another, err := d.Confirm(ctx, "A host key of "+hostAndPort(r.Host, r.Port)+
				" is known. Do you want to add another one?", false)
			if err != nil || !another {
				return err
			}
		}
		added, err := askHostKeys(ctx, env, r.Host, r.Port)
		*keys = append(*keys, added...)
		return err
	}
}

// askHostKeys gets host keys of a server, either from the server or from the administrator. It
// returns none if the administrator does not trust the keys.
func askHostKeys(
	ctx context.Context, env *shell.Env, host string, port uint16) ([]logs.KnownHost, error) {
	for {
		i, err := env.Choose(ctx,
			"Do you want to scan the host for its SSH keys, or enter a key?", 0,
			"Scan automatically", "Enter manually")
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

func enterHostKey(
	ctx context.Context, env *shell.Env, host string, port uint16) ([]logs.KnownHost, error) {
	var key string
	question := "Enter the public host key of " + hostAndPort(host, port) +
		", such as ssh-ed25519 AAAA..."
	_, err := env.Ask(ctx, question, "", func(answer string) (err error) {
		if key, _, err = upload.ParseKey(answer); err != nil {
			return refusal.Because(err, "This is not a public key. "+
				"Enter it on one line, as it is in a known_hosts file.")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return []logs.KnownHost{{Host: host, Port: port, Key: key}}, nil
}

// scanHostKeys gets the host keys from a server and asks the administrator whether to trust
// them.
func scanHostKeys(
	ctx context.Context, env *shell.Env, host string, port uint16) ([]logs.KnownHost, error) {
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
	trust, err := env.Confirm(ctx,
		"Add the preceding host key(s) for "+hostAndPort(host, port)+"?", true)
	if err != nil || !trust {
		return nil, err
	}
	return keys, nil
}

func fingerprint(key string) string {
	_, print, err := upload.ParseKey(key)
	if err != nil {
		return "" // cannot happen: a commit checks the keys
	}
	return print
}

// addHostKeys adds keys to the draft.
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

// printLogKey prints the public key with which the appliance logs in to servers.
func printLogKey(env *shell.Env) error {
	key, err := env.Appliance.LogKey()
	if err != nil {
		return err
	}
	env.Printf("\n%s\n", key)
	return nil
}

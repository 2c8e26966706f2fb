package commands

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/esasim/esasim/appliance/logs"
	"github.com/esasim/esasim/appliance/logs/upload"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// The menu HOSTKEYCONFIG of logconfig.

// configureHostKeys is the menu of the host keys of SSH servers.
func configureHostKeys(ctx context.Context, env *shell.Env) error {
	return env.Menu(ctx, func() shell.Menu {
		none := len(logs.HostKeys.Get(env.Draft).List) == 0
		return shell.Menu{
			Header: func() { printHostKeys(env) },
			Items: []shell.Item{
				{Key: "NEW", Text: "Enter a host key.", Run: newHostKey(env, enterHostKey)},
				{Key: "SCAN", Text: "Get the host keys of a server from the server.",
					Run: newHostKey(env, scanHostKeys)},
				{Key: "PRINT", Text: "Display a host key.", Hidden: none, Run: withEnv(env, printHostKey)},
				{Key: "DELETE", Text: "Remove a host key.", Hidden: none, Run: withEnv(env, deleteHostKey)},
				{Key: "USER", Text: "Display the public key of this appliance.",
					Run: func(context.Context) error { return printLogKey(env) }},
			},
		}
	})
}

func printHostKey(ctx context.Context, env *shell.Env) error {
	k, err := askHostKey(ctx, env, "Enter the number of the host key you wish to display.")
	if err == nil {
		env.Printf("\n%s %s\n", knownHostsName(k.Host, k.Port), k.Key)
	}
	return err
}

func printHostKeys(env *shell.Env) {
	list := logs.HostKeys.Get(env.Draft).List
	if len(list) == 0 {
		env.Printf("\nThere are no known host keys.\n")
		return
	}
	env.Printf("\nCurrently known host keys:\n")
	for i, k := range list {
		kind, _, _ := strings.Cut(k.Key, " ")
		env.Printf("%d. %s %s %s\n", i+1, hostAndPort(k.Host, k.Port), kind, fingerprint(k.Key))
	}
}

// newHostKey returns the operation that asks for a server, gets its keys with get, and adds
// them.
func newHostKey(
	env *shell.Env, get func(context.Context, *shell.Env, string, uint16) ([]logs.KnownHost, error),
) func(context.Context) error {
	return func(ctx context.Context) error {
		var host string
		port := int(upload.SCP.Port())
		err := env.Form(ctx,
			shell.Text(&host, "Enter the host name or the IP address of the server, "+
				"as log subscriptions have it.", logs.CheckHost),
			shell.Number(&port, "Port to connect to on the remote host:", 1, 65535))
		if err != nil {
			return err
		}
		keys, err := get(ctx, env, host, uint16(port))
		if err != nil {
			return err
		}
		return addHostKeys(env, keys)
	}
}

func deleteHostKey(ctx context.Context, env *shell.Env) error {
	gone, err := askHostKey(ctx, env, "Enter the number of the host key you wish to delete.")
	if err != nil {
		return err
	}
	return editSection(env, logs.HostKeys, func(v *logs.KnownHosts) error {
		v.List = slices.DeleteFunc(v.List, func(k logs.KnownHost) bool { return k == gone })
		return nil
	})
}

// askHostKey asks for a host key of the list above the menu.
func askHostKey(
	ctx context.Context, env *shell.Env, question string) (k logs.KnownHost, err error) {
	list := logs.HostKeys.Get(env.Draft).List
	_, err = env.Ask(ctx, question, "", func(answer string) error {
		n, err := strconv.Atoi(answer)
		if err != nil || n < 1 || n > len(list) {
			return refusal.Newf("The value must be an integer from 1 to %d.", len(list))
		}
		k = list[n-1]
		return nil
	})
	return k, err
}

// hostAndPort names a server in a sentence. It leaves the default port out.
func hostAndPort(host string, port uint16) string {
	if port == upload.SCP.Port() {
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// knownHostsName names a server as a known_hosts file does.
func knownHostsName(host string, port uint16) string {
	if port == upload.SCP.Port() {
		return host
	}
	return fmt.Sprintf("[%s]:%d", host, port)
}

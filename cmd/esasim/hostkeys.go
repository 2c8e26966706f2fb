package main

import (
	"crypto"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/esasim/esasim/shell"
)

// moreHostKeys returns the user's SSH host keys of the types that older clients know. They are in
// files beside the first one, and are read or created when a client needs them. They are saved if
// keep is true.
func moreHostKeys(keep bool) []shell.LazyHostKey {
	home, err := stateHome()
	if err != nil {
		return nil // the shell makes new ones
	}
	return moreHostKeysIn(home, keep)
}

// moreHostKeysIn is moreHostKeys for the keys in a directory.
func moreHostKeysIn(dir string, keep bool) []shell.LazyHostKey {
	var keys []shell.LazyHostKey
	for _, k := range []struct{ keyType, file string }{
		{shell.ECDSAKey, "ssh_host_ecdsa_key"},
		{shell.RSAKey, "ssh_host_rsa_key"},
	} {
		load := sync.OnceValues(func() (crypto.Signer, error) {
			return loadHostKey(k.keyType, filepath.Join(dir, k.file), keep)
		})
		keys = append(keys, shell.LazyHostKey{Type: k.keyType, Load: load})
	}
	return keys
}

// loadHostKey reads the key from a file. If there is no file, or it
// holds no key of that type, a new key replaces it. A key that cannot be saved can be used all the
// same: clients then see another one after the next start.
func loadHostKey(keyType, file string, keep bool) (crypto.Signer, error) {
	data, err := os.ReadFile(file)
	if err == nil {
		key, err := parseHostKey(data)
		if err == nil && shell.HostKeyType(key.Public()) == keyType {
			return key, nil
		}
	}
	key, newErr := shell.NewHostKey(keyType)
	if newErr != nil || !keep {
		return key, newErr
	}
	if err == nil {
		os.Remove(file)
	}
	saved, err := saveHostKey(file, key)
	if err != nil {
		fmt.Fprintf(os.Stderr, "esasim: the SSH host key cannot be kept, so clients will see"+
			" another one after the next start: %v\n", err)
		return key, nil
	}
	return saved, nil
}

package ether

import (
	"reflect"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// gVisor makes the neighbor caches of a NIC, for IPv4 and for IPv6, with room for 512 neighbors,
// which takes 76 KiB and is the largest part of making a NIC. A NIC of a simulated network has a few
// neighbors, and gVisor has no setting for that. It makes the caches of a NIC whose link needs
// address resolution, so a port does not say that it does (link.Capabilities) before its NIC exists,
// and then gives it caches that are small and the same in every other respect. The fields are not
// exported and are found by their names. If a version of gVisor has others, nicType returns nil and
// a port says what it needs from the beginning.

// nicType returns the type of gVisor's NICs, or nil if it has not all the fields that
// addNeighborCaches sets.
var nicType = sync.OnceValue(func() reflect.Type {
	var (
		resolver  = reflect.TypeFor[stack.LinkAddressResolver]()
		number    = reflect.TypeFor[tcpip.NetworkProtocolNumber]()
		whole     = reflect.TypeFor[stack.Stack]()
		nic       = mapped(fieldOf(whole, "nics"))
		resolvers = fieldOf(nic, "linkAddrResolvers")
		added     = mapped(resolvers)
		cache     = fieldOf(added, "neigh")
	)
	known := added != nil && added.Kind() == reflect.Pointer && resolvers.Key() == number &&
		fieldOf(whole, "nudConfigs") == reflect.TypeFor[stack.NUDConfigurations]() &&
		fieldOf(nic, "stack") == reflect.PointerTo(whole) &&
		fieldOf(nic, "networkEndpoints") ==
			reflect.MapOf(number, reflect.TypeFor[stack.NetworkEndpoint]()) &&
		fieldOf(added, "resolver") == resolver &&
		fieldOf(cache, "nic") == nic && fieldOf(cache, "linkRes") == resolver &&
		fieldOf(cache, "state") == reflect.TypeFor[*stack.NUDState]() &&
		mapped(fieldOf(fieldOf(cache, "mu"), "cache")) != nil
	if !known {
		return nil
	}
	return nic
})

// fieldOf returns the type of a field of the struct t, or of the struct that t points to, or nil.
func fieldOf(t reflect.Type, name string) reflect.Type {
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	f, _ := t.FieldByName(name)
	return f.Type
}

// mapped returns the type of the values of maps of type t, or nil.
func mapped(t reflect.Type) reflect.Type {
	if t == nil || t.Kind() != reflect.Map {
		return nil
	}
	return t.Elem()
}

// addNeighborCaches gives a NIC that gVisor is creating its neighbor caches. nic is the dispatcher
// that gVisor gives to LinkEndpoint.Attach; nothing else uses the NIC yet.
func addNeighborCaches(nic any) {
	v := reflect.ValueOf(nic)
	if nicType() == nil || v.Type() != nicType() {
		return
	}
	of := *settable(v, "stack").Addr().Interface().(**stack.Stack)
	config := settable(reflect.ValueOf(of), "nudConfigs").Interface().(stack.NUDConfigurations)
	endpoints := settable(v, "networkEndpoints").
		Interface().(map[tcpip.NetworkProtocolNumber]stack.NetworkEndpoint)
	resolvers := settable(v, "linkAddrResolvers")
	for _, e := range endpoints {
		r, ok := e.(stack.LinkAddressResolver)
		if !ok {
			continue
		}
		added := reflect.New(resolvers.Type().Elem().Elem())
		settable(added, "resolver").Set(reflect.ValueOf(r))
		cache := settable(added, "neigh")
		settable(cache, "nic").Set(v)
		settable(cache, "linkRes").Set(reflect.ValueOf(r))
		settable(cache, "state").
			Set(reflect.ValueOf(stack.NewNUDState(config, of.Clock(), of.InsecureRNG())))
		entries := settable(settable(cache, "mu"), "cache")
		entries.Set(reflect.MakeMap(entries.Type()))
		resolvers.SetMapIndex(reflect.ValueOf(r.LinkAddressProtocol()), added)
	}
}

// settable returns a field of the struct v, or of the struct that v points to, which can be set
// although it is not exported.
func settable(v reflect.Value, name string) reflect.Value {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	f := v.FieldByName(name)
	return reflect.NewAt(f.Type(), f.Addr().UnsafePointer()).Elem()
}

package ether

import "reflect"

// emptyNeighborCaches gives the neighbor caches of a NIC that gVisor is creating, for IPv4 and for
// IPv6, new maps. gVisor makes a map with room for 512 neighbors for each, which takes 34 KiB,
// whereas a NIC of a simulated network has a few neighbors: the maps were 40 % of an idle
// appliance's memory. A new map grows with its entries and means the same. gVisor has no setting
// for that, so the fields are found by their names. If another version of gVisor has others,
// emptyNeighborCaches changes nothing and returns false.
//
// nic is the dispatcher that gVisor gives to LinkEndpoint.Attach. Nothing else uses the NIC yet.
func emptyNeighborCaches(nic any) bool {
	v := reflect.ValueOf(nic)
	if v.Kind() != reflect.Pointer {
		return false
	}
	resolvers := member(v, "linkAddrResolvers")
	if resolvers.Kind() != reflect.Map {
		return false
	}
	for r := resolvers.MapRange(); r.Next(); {
		cache := member(r.Value(), "neigh", "mu", "cache")
		if cache.Kind() != reflect.Map || cache.Len() != 0 || !cache.CanAddr() {
			return false
		}
		// The field is not exported; NewAt makes it settable.
		cache = reflect.NewAt(cache.Type(), cache.Addr().UnsafePointer()).Elem()
		cache.Set(reflect.MakeMap(cache.Type()))
	}
	return true
}

// member returns the field of a field of v with these names, or the zero Value if there is none.
func member(v reflect.Value, names ...string) reflect.Value {
	for _, name := range names {
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct {
			return reflect.Value{}
		}
		v = v.FieldByName(name)
	}
	return v
}

// Package deploycheck holds the files for Kubernetes against the types of Kubernetes itself.
package deploycheck

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// objects returns the objects of the file, decoded strictly, by kind.
func objects(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile("../../fixtures/deploy/kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]any{
		"v1 ConfigMap":                       &corev1.ConfigMap{},
		"v1 Service":                         &corev1.Service{},
		"apps/v1 StatefulSet":                &appsv1.StatefulSet{},
		"networking.k8s.io/v1 NetworkPolicy": &networkingv1.NetworkPolicy{},
	}
	found := map[string]any{}
	for _, part := range bytes.Split(text, []byte("\n---\n")) {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(part, &kind); err != nil {
			t.Fatal(err)
		}
		object := known[kind.APIVersion+" "+kind.Kind]
		if object == nil || found[kind.Kind] != nil {
			t.Fatalf("%s %s is unknown, or there twice", kind.APIVersion, kind.Kind)
		}
		if err := yaml.UnmarshalStrict(part, object); err != nil {
			t.Errorf("%s: %v", kind.Kind, err)
		}
		found[kind.Kind] = object
	}
	if len(found) != len(known) {
		t.Fatalf("the file has %d kinds of objects, want %d", len(found), len(known))
	}
	return found
}

// The objects belong together: labels, names, ports, volumes and the number of shards.
func TestObjectsBelongTogether(t *testing.T) {
	all := objects(t)
	set := all["StatefulSet"].(*appsv1.StatefulSet)
	service := all["Service"].(*corev1.Service)
	policy := all["NetworkPolicy"].(*networkingv1.NetworkPolicy)
	config := all["ConfigMap"].(*corev1.ConfigMap)
	pod := set.Spec.Template

	if set.Spec.ServiceName != service.Name || service.Spec.ClusterIP != corev1.ClusterIPNone {
		t.Errorf("the service of the pods is %q, want the headless %q", set.Spec.ServiceName, service.Name)
	}
	for what, selector := range map[string]map[string]string{
		"StatefulSet": set.Spec.Selector.MatchLabels, "Service": service.Spec.Selector,
		"NetworkPolicy": policy.Spec.PodSelector.MatchLabels,
	} {
		for key, value := range selector {
			if len(selector) == 0 || pod.Labels[key] != value {
				t.Errorf("the %s selects %s=%s, but the pods have %v", what, key, value, pod.Labels)
			}
		}
	}

	c := pod.Spec.Containers[0]
	env := map[string]corev1.EnvVar{}
	for _, e := range c.Env {
		env[e.Name] = e
	}
	if got, want := env["SHARDS"].Value, *set.Spec.Replicas; got != "2" || want != 2 {
		t.Errorf("%s shards and %d replicas, want 2 of both", got, want)
	}
	if !slices.Contains(c.Args, "--shard=$(ORDINAL)/$(SHARDS)") || env["ORDINAL"].ValueFrom == nil {
		t.Errorf("the arguments %q and the environment do not say which part a pod runs", c.Args)
	}
	if strings.Contains(strings.Join(c.Args, " "), "--ctl") {
		t.Error("the control API has a port, want only its socket")
	}
	for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
		if probe == nil || !slices.Equal(probe.Exec.Command, []string{"/esasim", "health"}) {
			t.Errorf("a probe is %+v, want esasim health", probe)
		}
	}

	volumes := map[string]bool{}
	for _, v := range pod.Spec.Volumes {
		volumes[v.Name] = true
		if v.ConfigMap != nil && v.ConfigMap.Name != config.Name {
			t.Errorf("the volume %s is of %s, want %s", v.Name, v.ConfigMap.Name, config.Name)
		}
	}
	for _, claim := range set.Spec.VolumeClaimTemplates {
		volumes[claim.Name] = true
	}
	for _, m := range c.VolumeMounts {
		if !volumes[m.Name] {
			t.Errorf("there is no volume %s", m.Name)
		}
	}
	if s := c.SecurityContext; !*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || !*pod.Spec.SecurityContext.RunAsNonRoot {
		t.Error("the pods have more rights than they need")
	}
}

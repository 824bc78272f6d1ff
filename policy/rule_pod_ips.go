package policy

import (
	"net/netip"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"noderestriction.plus/api/v1alpha1"
)

func podIPs() Rule {
	return Rule{
		ID: "pod-ips",
		Doc: Doc{
			Title: "A kubelet may report only allowed addresses for pods",
			Text: "An EndpointSlice copies the addresses of a Service's ready pods. A kubelet that reports any " +
				"address for a pod of its own sends the Service's traffic there.",
			Kubelet: "A kubelet reports the addresses that the network plugin gave the pod, those of the host for pods " +
				"on its network, and the host's own.",
			Attack: "curl -X PATCH -H 'Content-Type: application/merge-patch+json' .../pods/$POD/status -d " +
				`'{"status":{"podIP":"192.0.2.1","podIPs":[{"ip":"192.0.2.1"}]}}'`,
			Spec:   "spec.pods.ips",
			Fields: []string{"status.podIP", "status.podIPs", "status.hostIP", "status.hostIPs"},
			Since:  "v0.1.0",
			Source: "kubernetes v1.37.2 staging/src/k8s.io/endpointslice/utils.go; pkg/kubelet/kubelet_pods.go",
		},
		Targets: podStatusWrites(),
		Compile: compilePodIPs,
	}
}

func compilePodIPs(spec *v1alpha1.NodeRestrictionPolicySpec, at *field.Path) (Check, field.ErrorList) {
	cfg := spec.Pods.IPs
	if cfg == nil {
		return nil, nil
	}
	at = at.Child("pods", "ips")
	podRanges, errs := compileRanges(cfg.PodIPs, at.Child("podIPs"))
	hostRanges, bad := compileRanges(cfg.HostIPs, at.Child("hostIPs"))
	errs = append(errs, bad...)
	return func(r *Request) []Violation {
		old, updated := &r.OldPod.Status, &r.Pod.Status
		ranges := podRanges
		if r.OldPod.Spec.HostNetwork {
			ranges = hostRanges
		}
		hosts := outside(hostRanges, allIPs(old.HostIP, old.HostIPs), allIPs(updated.HostIP, updated.HostIPs))
		vs := appendViolation(nil, "status.hostIPs", "must not report host IP", hosts)
		pods := outside(ranges, allIPs(old.PodIP, old.PodIPs), allIPs(updated.PodIP, updated.PodIPs))
		return appendViolation(vs, "status.podIPs", "must not report pod IP", pods)
	}, errs
}

func compileRanges(ranges *v1alpha1.AddressRanges, at *field.Path) ([]netip.Prefix, field.ErrorList) {
	if ranges == nil {
		return nil, nil
	}
	return compileCIDRs(ranges.AllowedCIDRs, 64, at.Child("allowedCIDRs"))
}

// allIPs are an address and a list, without empty ones.
func allIPs(first string, list []IP) []string {
	ips := []string{first}
	for _, ip := range list {
		ips = append(ips, ip.IP)
	}
	return without(ips, func(ip string) bool { return ip == "" })
}

// outside are the added addresses that are in none of the ranges, or that are no addresses of another host at all.
func outside(ranges []netip.Prefix, old, updated []string) []string {
	return without(compareSets(old, updated).added, func(text string) bool {
		ip, err := netip.ParseAddr(text)
		return err == nil && isRoutable(ip) && (len(ranges) == 0 || containsAddr(ranges, ip))
	})
}

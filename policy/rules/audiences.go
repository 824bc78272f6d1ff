// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	csitranslation "k8s.io/csi-translation-lib"

	"noderestriction.plus/internal/text"
	"noderestriction.plus/policy"
)

// apiAudiences returns the audiences of the API server: those in the policy, or without them those that are known to Facts.
func apiAudiences(r *policy.Request, configured []string) ([]string, error) {
	if len(configured) > 0 {
		return configured, nil
	}
	return r.APIAudiences()
}

// usesAudience reports whether a volume of the pod uses a token for one of the audiences, by projection or through its CSI driver. If no
// volume is known to, it returns an error for volumes whose driver could not be looked up.
func usesAudience(r *policy.Request, pod *corev1.Pod, audiences []string) (bool, error) {
	for i := range pod.Spec.Volumes {
		if projectsAudience(&pod.Spec.Volumes[i], audiences) {
			return true, nil
		}
	}
	var errs []error
	var seen []string
	for i := range pod.Spec.Volumes {
		driver, err := driverOf(r, pod, &pod.Spec.Volumes[i])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if driver == "" || slices.Contains(seen, driver) {
			continue
		}
		seen = append(seen, driver)
		asks, err := driverAsksFor(r, driver, audiences)
		if asks {
			return true, nil
		}
		errs = append(errs, err)
	}
	return false, errors.Join(errs...)
}

func projectsAudience(v *corev1.Volume, audiences []string) bool {
	return v.Projected != nil && slices.ContainsFunc(v.Projected.Sources, func(s corev1.VolumeProjection) bool {
		return s.ServiceAccountToken != nil && slices.Contains(audiences, s.ServiceAccountToken.Audience)
	})
}

func driverAsksFor(r *policy.Request, name string, audiences []string) (bool, error) {
	driver, err := must("CSIDriver", name, r.LookUpCSIDriver)
	return err == nil && slices.ContainsFunc(driver.Spec.TokenRequests, func(t storagev1.TokenRequest) bool {
		return slices.Contains(audiences, t.Audience)
	}), err
}

// driverOf returns the CSI driver that mounts a volume, and "" if no driver does.
func driverOf(r *policy.Request, pod *corev1.Pod, v *corev1.Volume) (string, error) {
	translator := csitranslation.New()
	switch {
	case v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil:
		return driverOfClaim(r, pod.Namespace, pod.Name+"-"+v.Name)
	case v.PersistentVolumeClaim != nil:
		return driverOfClaim(r, pod.Namespace, v.PersistentVolumeClaim.ClaimName)
	case v.CSI != nil:
		return v.CSI.Driver, nil
	case translator.IsInlineMigratable(v):
		translated, err := translator.TranslateInTreeInlineVolumeToCSI(logr.Discard(), v, pod.Namespace)
		return driverOfVolume(translated), err
	}
	return "", nil
}

func driverOfClaim(r *policy.Request, namespace, name string) (string, error) {
	claim, err := must("claim", name, func(name string) (*corev1.PersistentVolumeClaim, bool, error) {
		return r.LookUpPersistentVolumeClaim(namespace, name)
	})
	if err != nil {
		return "", err
	}
	volume, err := must("volume", claim.Spec.VolumeName, r.LookUpPersistentVolume)
	if err != nil {
		return "", err
	}
	if translator := csitranslation.New(); volume.Spec.CSI == nil && translator.IsPVMigratable(volume) {
		volume, err = translator.TranslateInTreePVToCSI(logr.Discard(), volume)
	}
	return driverOfVolume(volume), err
}

func driverOfVolume(v *corev1.PersistentVolume) string {
	if v == nil || v.Spec.CSI == nil {
		return ""
	}
	return v.Spec.CSI.Driver
}

// must looks up an object, and returns an error if it does not exist.
func must[T any](kind, name string, look func(string) (*T, bool, error)) (*T, error) {
	object, found, err := look(name)
	if err == nil && !found {
		err = fmt.Errorf("%s %s does not exist", kind, text.Quote(name))
	}
	return object, err
}

// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/validation"

	"noderestriction.plus/internal/command"
	"noderestriction.plus/internal/compile"
	"noderestriction.plus/internal/program"
)

// guardFlags are the flags of the command compile about the guard.
type guardFlags struct {
	on             bool
	group          string
	certificates   []string // files
	namespace      string
	serviceAccount string
	writers        []string
	conditions     bool
}

func (f *guardFlags) addFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.on, "guard", false, "also write the guard, for --to static; needs no FILE")
	flags.StringVar(&f.group, "guard-group", compile.DefaultGuardGroup,
		"`group` that may change what it keeps; empty: nobody may, through\nthe API")
	flags.StringArrayVar(&f.certificates, "guard-certificate", nil,
		"PEM `file` with a client certificate that members of the group must\nuse; may be repeated")
	flags.StringVar(&f.namespace, "guard-namespace", program.Name,
		"`namespace` of the release, which it closes; empty: none, if the\nwebhook runs outside the cluster")
	flags.StringVar(&f.serviceAccount, "guard-service-account", program.Name, "`name` of the webhook's service account\nin that namespace")
	flags.StringArrayVar(&f.writers, "guard-writer", nil,
		"`user` that may write into the namespace and the CA bundle, such as\n"+
			"system:serviceaccount:cert-manager:cert-manager-cainjector;\nmay be repeated")
	flags.BoolVar(&f.conditions, "guard-conditions", false, "let the webhook write match conditions and expressions of the floor")
}

// options returns the options of the guard. The flags changed are those that the command line has.
func (f *guardFlags) options(in *command.Inputs, changed func(flag string) bool) (compile.GuardOptions, error) {
	o := compile.GuardOptions{
		Group: f.group, Namespace: f.namespace, ServiceAccount: f.serviceAccount, Writers: f.writers, Conditions: f.conditions,
	}
	if !f.on {
		for _, flag := range []string{
			"guard-group", "guard-certificate", "guard-namespace", "guard-service-account", "guard-writer", "guard-conditions",
		} {
			if changed(flag) {
				return o, command.Usagef("--%s: only has a meaning with --guard", flag)
			}
		}
		return o, nil
	}
	if err := f.check(); err != nil {
		return o, err
	}
	for _, file := range f.certificates {
		digest, err := digestOf(in, file)
		if err != nil {
			return o, fmt.Errorf("--guard-certificate: %w", err)
		}
		if !slices.Contains(o.Certificates, digest) {
			o.Certificates = append(o.Certificates, digest)
		}
	}
	return o, nil
}

// warn says who can break the glass although they are not in the group.
func (f *guardFlags) warn(w io.Writer) error {
	if f.group == "" || len(f.certificates) > 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "the guard: anyone who may impersonate the group %q, as cluster administrators may, can break the glass; "+
		"--guard-certificate or an empty --guard-group prevents it\n", f.group)
	return err
}

// maxName is the maximum length of the name of a user or a group, in bytes.
const maxName = 1024

func (f *guardFlags) check() error {
	switch {
	case slices.Contains([]string{"default", "kube-system", "kube-public", "kube-node-lease"}, f.namespace):
		return command.Usagef("--guard-namespace: %s has other writers; the guard closes a namespace of the webhook's own", f.namespace)
	case f.namespace != "" && len(validation.IsDNS1123Label(f.namespace)) > 0:
		return command.Usagef("--guard-namespace: %q is not the name of a namespace", f.namespace)
	case f.namespace != "" && len(validation.IsDNS1123Subdomain(f.serviceAccount)) > 0:
		return command.Usagef("--guard-service-account: %q is not the name of a service account", f.serviceAccount)
	case f.conditions && f.namespace == "":
		return command.Usagef("--guard-conditions: needs --guard-namespace, because the webhook is known by its service account")
	case len(f.certificates) > 0 && f.group == "":
		return command.Usagef("--guard-certificate: needs --guard-group")
	case len(f.group) > maxName:
		return command.Usagef("--guard-group: must be at most %d bytes long", maxName)
	case strings.HasPrefix(f.group, "system:"):
		return command.Usagef("--guard-group: %s is a group of Kubernetes itself; name one that only those have who may break the glass", f.group)
	}
	for _, user := range f.writers {
		if user == "" || len(user) > maxName {
			return command.Usagef("--guard-writer: must be 1 to %d bytes long", maxName)
		}
	}
	return nil
}

// maxCertificate is the maximum size of a file with a certificate, in bytes.
const maxCertificate = 1 << 20

// digestOf returns the SHA-256 digest of the first certificate of a PEM file, which is the client's.
func digestOf(in *command.Inputs, file string) (string, error) {
	data, err := in.Read(file)
	if err != nil {
		return "", err
	}
	if len(data) > maxCertificate {
		return "", fmt.Errorf("%s: is longer than %d bytes", command.Title(file), maxCertificate)
	}
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return "", fmt.Errorf("%s: has no certificate in PEM", command.Title(file))
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "", fmt.Errorf("%s: %w", command.Title(file), err)
		}
		digest := sha256.Sum256(certificate.Raw)
		return hex.EncodeToString(digest[:]), nil
	}
}

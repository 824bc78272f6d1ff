// Copyright The NodeRestriction-plus Authors.
// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"

	"noderestriction.plus/internal/certificates"
	"noderestriction.plus/internal/cluster"
	"noderestriction.plus/internal/program"
	"noderestriction.plus/internal/server"
)

// The sources of the serving certificate.
const (
	certificateFiles       = "files"
	certificateSelfManaged = "self-managed"
)

// maxDNSNames is the maximum number of names in the certificate.
const maxDNSNames = 64

// certificateOptions are the flags about the serving certificate.
type certificateOptions struct {
	source        string
	dir           string
	secret        string
	dnsNames      []string
	configuration string
}

func (o *certificateOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.source, "certificate-source", certificateFiles,
		"`source` of the serving certificate: files, read from --cert-dir, or\nself-managed, issued by this program")
	flags.StringVar(&o.dir, "cert-dir", "/etc/"+program.Name+"/tls", "`directory` with the certificate and its key,\ntls.crt and tls.key")
	flags.StringVar(&o.secret, "self-managed-ca-secret", "",
		"`namespace/name` of the Secret with the CA of the self-managed\ncertificate; created if it does not exist")
	flags.StringSliceVar(&o.dnsNames, "self-managed-dns-names", nil, "DNS `names` in the self-managed certificate")
	flags.StringVar(&o.configuration, "self-managed-webhook-configuration", "",
		"`name` of the ValidatingWebhookConfiguration in whose caBundle\nfields the program keeps the CA of the self-managed certificate")
}

// validate checks the flags; each error names one.
func (o *certificateOptions) validate() error {
	switch o.source {
	case certificateFiles:
		return o.validateFiles()
	case certificateSelfManaged:
		return o.validateSelfManaged()
	}
	return fmt.Errorf("--certificate-source: must be %s or %s, not %q", certificateFiles, certificateSelfManaged, o.source)
}

func (o *certificateOptions) validateFiles() error {
	const without = "has no effect without --certificate-source=" + certificateSelfManaged
	switch {
	case o.dir == "":
		return errors.New("--cert-dir: must be set")
	case o.secret != "":
		return errors.New("--self-managed-ca-secret: " + without)
	case len(o.dnsNames) > 0:
		return errors.New("--self-managed-dns-names: " + without)
	case o.configuration != "":
		return errors.New("--self-managed-webhook-configuration: " + without)
	}
	return nil
}

func (o *certificateOptions) validateSelfManaged() error {
	namespace, name, found := strings.Cut(o.secret, "/")
	if !found || len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return fmt.Errorf("--self-managed-ca-secret: must be the namespace and the name of a Secret, as in a/b, not %q", o.secret)
	}
	if len(o.dnsNames) == 0 || len(o.dnsNames) > maxDNSNames {
		return fmt.Errorf("--self-managed-dns-names: must be from 1 to %d names, not %d", maxDNSNames, len(o.dnsNames))
	}
	for _, name := range o.dnsNames {
		isName := len(validation.IsDNS1123Subdomain(name)) == 0 || len(validation.IsWildcardDNS1123Subdomain(name)) == 0
		if !isName || net.ParseIP(name) != nil {
			return fmt.Errorf("--self-managed-dns-names: %q is not a DNS name", name)
		}
	}
	if len(validation.IsDNS1123Subdomain(o.configuration)) > 0 {
		return fmt.Errorf("--self-managed-webhook-configuration: must be the name of a ValidatingWebhookConfiguration, not %q",
			o.configuration)
	}
	return nil
}

// open returns the source of the certificate. It reads the files, if they are the source, and does not need the API server.
func (o *certificateOptions) open(
	config *rest.Config, informers *cluster.Informers, log logr.Logger,
) (server.CertificateSource, error) {
	if o.source == certificateFiles {
		files, err := server.NewCertificates(o.dir, log)
		if err != nil {
			return nil, fmt.Errorf("--cert-dir: %w", err)
		}
		return files, nil
	}
	namespace, name, _ := strings.Cut(o.secret, "/")
	issued, err := certificates.New(certificates.Options{
		Config: config, Secret: types.NamespacedName{Namespace: namespace, Name: name}, DNSNames: o.dnsNames,
		Configuration: o.configuration, NewInformer: informers.New, Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("--certificate-source: %w", err)
	}
	return issued, nil
}

// This file defines how a connection to a Docker engine is secured.

package docker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// tls reads ca.pem, cert.pem and key.pem. Each may be missing: without ca.pem
// the system's authorities count, without the others no client certificate is
// shown.
func (e endpoint) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: e.skipVerify}
	if e.certs == "" {
		return config, nil
	}
	ca, err := os.ReadFile(filepath.Join(e.certs, "ca.pem"))
	switch {
	case err == nil:
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(ca) {
			return nil, fmt.Errorf("docker: %s: no certificate in it", filepath.Join(e.certs, "ca.pem"))
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("docker: %w", err)
	}
	cert, key := filepath.Join(e.certs, "cert.pem"), filepath.Join(e.certs, "key.pem")
	if _, err := os.Stat(cert); errors.Is(err, fs.ErrNotExist) {
		return config, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("docker: %w", err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

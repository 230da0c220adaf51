// What net/http and crypto/tls make of the proxy:  https_client URL CA
//
// Prints one line for each of the things that it tried; a failure ends it with status 1.
package main

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync"
)

func must(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

func client(pool *x509.CertPool, version uint16) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: pool, MinVersion: version, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}}}
}

// answer returns the body of a PUT, and whether connection and session were those of before.
func answer(c *http.Client, url string, body []byte) (string, bool, bool) {
	request, err := http.NewRequest("PUT", url, bytes.NewReader(body))
	must(err)
	reused := false
	trace := httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
	response, err := c.Do(request.WithContext(httptrace.WithClientTrace(request.Context(), &trace)))
	must(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(err)
	if response.StatusCode != 201 {
		must(fmt.Errorf("%s: %s", response.Status, text))
	}
	return string(text), reused, response.TLS.DidResume
}

func main() {
	url := os.Args[1]
	pem, err := os.ReadFile(os.Args[2])
	must(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	body := make([]byte, 1<<20)
	rand.Read(body)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c := client(pool, version)
		first, _, _ := answer(c, url+"/up", body)
		second, kept, _ := answer(c, url+"/up", body)
		c.CloseIdleConnections()
		third, again, resumed := answer(c, url+"/up", body)
		fmt.Println(tls.VersionName(version), first == second && second == third, kept, again, resumed)
	}
	c := client(pool, tls.VersionTLS13)
	var all sync.WaitGroup
	for number := 0; number < 20; number++ {
		all.Add(1)
		go func() {
			defer all.Done()
			answer(c, url+fmt.Sprintf("/up%d", number), body)
		}()
	}
	all.Wait()
	fmt.Println("20 at once")
	_, err = client(x509.NewCertPool(), tls.VersionTLS13).Get(url)
	fmt.Println("untrusted:", err != nil)
}

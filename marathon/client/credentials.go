package client

import (
	"bytes"
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// credentials say who asks.
type credentials interface {
	// header returns the value of Authorization, "" for none. Refused is what it
	// returned before and was answered with 401: another one is wanted then.
	header(ctx context.Context, refused string) (string, error)
}

// nobody has no credentials.
type nobody struct{}

func (nobody) header(context.Context, string) (string, error) { return "", nil }

// basic are a user and a password.
type basic struct{ user, file string }

func (b basic) header(context.Context, string) (string, error) {
	password, err := secret(b.file)
	if err != nil {
		return "", fmt.Errorf("read the password for Marathon: %w", err)
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(b.user+":"+password)), nil
}

// tokenFile is a token of DC/OS that somebody else keeps fresh.
type tokenFile string

func (t tokenFile) header(context.Context, string) (string, error) {
	token, err := secret(string(t))
	if err != nil {
		return "", fmt.Errorf("read the token for Marathon: %w", err)
	}
	return "token=" + token, nil
}

// login gets tokens of DC/OS, and another one when one is refused.
type login struct {
	http *http.Client
	url  *url.URL
	// request returns who logs in, and what proves it.
	request func() (any, error)

	mu    sync.Mutex // held while a token is asked for: the others want the same one
	value string
}

func (l *login) header(ctx context.Context, refused string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.value != "" && l.value != refused {
		return l.value, nil
	}
	token, err := l.ask(ctx)
	if err != nil {
		return "", fmt.Errorf("log in at %s: %w", l.url.Host, err)
	}
	l.value = "token=" + token
	return l.value, nil
}

// ask asks for a token.
func (l *login) ask(ctx context.Context) (string, error) {
	who, err := l.request()
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(who)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url.String(), bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := l.http.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", refusal(resp.StatusCode, l.url.Redacted(), text)
	}
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Token == "" {
		return "", errors.New("the answer has no token")
	}
	return answer.Token, nil
}

// password is who logs in with a password.
func password(user, file string) func() (any, error) {
	return func() (any, error) {
		word, err := secret(file)
		if err != nil {
			return nil, fmt.Errorf("read the password: %w", err)
		}
		return map[string]string{"uid": user, "password": word}, nil
	}
}

// serviceAccount is the secret of a service account, as DC/OS makes it.
type serviceAccount struct {
	UID           string `json:"uid"`
	PrivateKey    string `json:"private_key"`
	Scheme        string `json:"scheme"`
	LoginEndpoint string `json:"login_endpoint"`
}

func readServiceAccount(file string) (*serviceAccount, *rsa.PrivateKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("read the service account: %w", err)
	}
	var account serviceAccount
	if err := json.Unmarshal(text, &account); err != nil || account.UID == "" || account.Scheme != "RS256" {
		return nil, nil, fmt.Errorf("read the service account: %s must have uid, private_key and the scheme RS256", file)
	}
	key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(account.PrivateKey))
	if err != nil {
		return nil, nil, fmt.Errorf("read the service account: the private_key in %s: %w", file, err)
	}
	return &account, key, nil
}

// proofLife is how long what a service account signs to log in is good for.
const proofLife = 5 * time.Minute

// signed is who logs in as a service account.
func signed(file string, now func() time.Time) func() (any, error) {
	return func() (any, error) {
		account, key, err := readServiceAccount(file)
		if err != nil {
			return nil, err
		}
		claims := jwt.MapClaims{"uid": account.UID, "exp": now().Add(proofLife).Unix()}
		proof, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(key)
		if err != nil {
			return nil, fmt.Errorf("sign as service account %s: %w", account.UID, err)
		}
		return map[string]string{"uid": account.UID, "token": proof}, nil
	}
}

package main

// What the settings mean, by key: for --help and docs/configuration.md. Tests
// see to it that none is missing and that the manual has them all.

var agentHelp = map[string]string{
	"version":                  "of this file's format; always 1",
	"control-service.hostname": "names or addresses of the control service's replicas, with commas between them, or `consul://HOST:PORT/SERVICE`",
	"control-service.port":     "port on which they listen for agents, where a name or address has none of its own",
	"dataset.backend":          "storage system that makes the volumes",
	"dataset.root_path":        "loopback: directory of the volumes' files, shared by all nodes that the volumes can move between",
	"dataset.zone": "loopback: zone whose machines alone share root_path, such as a rack with a file server of its own: its volumes are for nodes of that zone; " +
		"empty where root_path is the same everywhere",
	"logging":      "accepted from Flocker's own files and ignored; log is ours",
	"certificates": "directory of cluster.crt, node.crt and node.key; by default the one that this file is in",
	"state-dir":    "state that must outlive the agent: the users of each dataset",
	"run-dir":      "what may be gone after a reboot: the writable side of the mount points, and what is published by CSI",
	"mount-root":   "where volumes are mounted, each as its dataset's id",
	"socket":       "where flocker-isolator and dvdcli call the agent",
	"csi-socket": "where Mesos' volume/csi isolator, or another CSI client, calls the agent, such as `/run/flocker/csi.sock`; " +
		"empty for nowhere",
	"wait-limit":    "how long a container waits for its volumes; keep it below Mesos' --executor_registration_timeout",
	"workers":       "how many datasets are worked on at once",
	"allow-options": "mount options that containers may ask for by a label: dev, suid or both; volumes are mounted nosuid and nodev otherwise",
	"trim-interval": "how often mounted volumes give the blocks of deleted files back to a storage whose volumes are thin, such as loopback; 0s for never",
	"preempt-grace": "how long processes have that use a volume which another node preempts, before they are killed",
	"zone": "zone that this machine is in, as Mesos' and Marathon's constraints call it, such as us-east-1a; where volumes are bound to zones the backend knows it, " +
		"and it can be left out",
	"stop-command": "program that turns a lost machine off, told its instance id; exit status 0 is its word that it is off. " +
		"Needed where on-lost-node is stop-instance and the backend cannot do it",
	"mesos.agent":         "URL of this machine's Mesos agent; with it lost cleanups are noticed and pods' labels are read",
	"mesos.user":          "user of the Mesos agent's --http_credentials, where it wants one",
	"mesos.password-file": "file with that user's password, which may be changed at any time",
	"mesos.ca-file":       "file of the authorities that the Mesos agent's certificate is of, where it is https; empty for the system's",
	"mesos.interval":      "how often it is looked which containers it runs, beside what Marathon tells of ends",
	"metrics-listen":      "address for /metrics, /health and /ready without TLS, on this machine only; empty for nowhere",
	"log.level":           "DEBUG, INFO, WARN or ERROR",
	"log.format":          "text or json",
}

var controlHelp = map[string]string{
	"listen":       "address that users call: the REST API",
	"agent-listen": "address that agents call",
	"advertise": "name or address under which agents and users reach this replica, without a port; empty for the address of listen or, " +
		"where that is all of them, the machine's name",
	"register":       "service under which Consul's catalogue has this replica, where the store is in Consul; empty for none",
	"metrics-listen": "address for /metrics, /health and /ready without TLS, on this machine only; empty for nowhere",
	"certificates":   "directory of cluster.crt, control-service.crt and control-service.key",
	"store":          "where the records are kept, as file:DIRECTORY, or consul://HOST:PORT/PREFIX for a log in Consul",
	"state-dir": "where this machine remembers which log it has served, so that it refuses an empty or foreign one; empty for the directory of the store or, " +
		"where that is in Consul, /var/lib/flocker/control",
	"default-size": "of datasets for which no size was asked",
	"max-size":     "largest size of a dataset; more is refused at once; must be the same on all replicas",
	"heartbeat":    "longest silence between two lines of an agent's stream; after three of them the agent is taken to be gone",
	"keep-deleted": "how long deleted datasets are still listed, and their ids reserved, after their volumes are gone",
	"write-rate":   "changes a second that one certificate may make on average, with bursts of 20 times as many; more are answered with 429; 0 for no limit",
	"tenancy":      "tenancy of a new log, owners or shared; flocker tenancy changes that of an existing log",
	"on-lost-node": "what is done to a node that is silent but can still write to its volumes, so that they can follow their containers: " +
		"wait, stop-instance or force-detach",
	"marathon": "URLs of all Marathons, with commas between them, to follow their apps and pods; empty for none. " +
		"One replica at a time follows them, so give it to all",
	"marathon-user":                 "user by which Marathon knows this program, or DC/OS where marathon-login is set",
	"marathon-password-file":        "file with that user's password",
	"marathon-ca-file":              "file of the authorities that Marathon's certificate is checked by; empty for the system's",
	"marathon-cert-file":            "file of a certificate to show to Marathon",
	"marathon-key-file":             "file of its key",
	"marathon-token-file":           "file with a token of DC/OS that another program renews",
	"marathon-service-account-file": "file with the secret of a service account of DC/OS, as `dcos security secrets` makes it",
	"marathon-login":                "URL where DC/OS gives out tokens; by default /acs/api/v1/auth/login at the first of Marathon's hosts",
	"marathon-make-ahead": "whether volumes are made when their apps are deployed, so that it shows then what cannot be had; " +
		"else each is made when it is first used",
	"reclaim-grace": "how long the datasets of a destroyed app are kept where it has them deleted, and does not say when",
	"mesos-masters": "URLs of the Mesos masters, with commas between them, such as `http://10.0.0.1:5050`; with them it is shown what Mesos says of lost nodes. " +
		"Any of them leads to the one that leads",
	"mesos-user":          "user of Mesos' --http_credentials, where its masters want one",
	"mesos-password-file": "file with that user's password, which may be changed at any time",
	"mesos-ca-file":       "file of the authorities that the masters' certificates are of, where it is https; empty for the system's",
	"mesos-cert-file":     "certificate for masters that want one",
	"mesos-key-file":      "its key",
	"mesos-interval":      "how often the masters are asked, beside what their stream of events tells",
	"mesos-max-answer":    "largest answer, or event of the stream, that is read: the first event has the whole state of Mesos in it",
	"log.level":           "DEBUG, INFO, WARN or ERROR",
	"log.format":          "text or json",
}

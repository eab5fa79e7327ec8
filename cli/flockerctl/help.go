package flockerctl

// The texts of --help, below the line that names the program.
const (
	helpMain = `Options:
      --cluster-yml=      Location of cluster.yml file (makes other options
                          unnecessary) [default: ./cluster.yml]
      --certs-path=       Path to certificates folder [default: .]
      --user=             Name of user for which .key and .crt files exist
                          [default: user]
      --cluster-crt=      Name of cluster cert file [default: cluster.crt]
      --control-service=  Hostname or IP of control service
      --control-port=     Port for control service REST API [default: 4523]
      --version           Display version and exit.
      --help              Display this help and exit.
Commands:
    create          create a flocker dataset
    destroy         mark a dataset to be deleted
    list            list flocker datasets
    list-nodes      show list of nodes in the cluster
    ls              list flocker datasets
    move            move a dataset from one node to another
    status          show list of nodes in the cluster
    version         show version information

"flocker volumes" knows more, and says why a volume is not where it should be.
`

	helpCreate = `Options:
  -n, --node=      Initial primary node for dataset (any unique prefix of node
                   uuid, see flocker-volumes list-nodes)
  -m, --metadata=  Set volume metadata ("a=b,c=d")
  -s, --size=      Set size in bytes (default), k, M, G, T
      --version    Display version and exit.
      --help       Display this help and exit.
`

	helpDestroy = `Options:
  -d, --dataset=  Dataset to destroy (any unique prefix of its uuid)
      --version   Display version and exit.
      --help      Display this help and exit.
`

	helpMove = `Options:
  -d, --dataset=      Dataset to move (uuid)
  -t, --destination=  New primary node (uuid) to move the dataset to
      --version       Display version and exit.
      --help          Display this help and exit.
`

	helpList = `Options:
  -d, --deleted  Show deleted datasets
  -l, --long     Show full ids
  -h, --human    Human-readable numbers (as they always are)
      --version  Display version and exit.
      --help     Display this help and exit.
`

	helpListNodes = `Options:
  -l, --long     Show full ids
      --version  Display version and exit.
      --help     Display this help and exit.
`

	helpVersion = `Options:
      --version  Display version and exit.
      --help     Display this help and exit.
`
)

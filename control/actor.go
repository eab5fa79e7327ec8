package control

import (
	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
	"github.com/flocker-mesos/flocker/pki"
)

// actor returns for which owner a caller acts. Users are operators; readers see all
// that operators see, and admission keeps them from writing.
func (c caller) actor() cluster.Actor {
	switch c.role {
	case pki.RoleUser:
		return cluster.Actor{Owner: api.UserOwner(c.name), Operator: true}
	case pki.RoleReader:
		return cluster.Actor{Operator: true}
	case pki.RoleTenant:
		return cluster.Actor{Owner: api.UserOwner(c.name)}
	default:
		return cluster.Actor{}
	}
}

// forTenants are the operations for certificates of tenants: they act on datasets, for
// which the model checks the owner, or show what is filtered by owner. What is not named
// is for operators.
var forTenants = map[string]bool{
	"getVersion": true, "getDocument": true, "getHealth": true, "getReadiness": true,
	"listDatasets": true, "createDataset": true, "moveDataset": true, "deleteDataset": true, "listDatasetStates": true,
	"listNodeStates": true, "getNodeByEra": true, "listNodes": true, "getNode": true, "listBackends": true, "getStatus": true,
	"listLeases": true, "acquireLease": true, "releaseLease": true,
	"listContainers": true, "listContainerStates": true,
	"listVolumes": true, "getVolume": true, "changeVolume": true, "undeleteVolume": true, "trimVolume": true, "shareVolume": true,
	"listMarathonApps": true, "watch": true, "listQuotas": true, "getTenancy": true,
}

func admitTenant(operation string, who caller) error {
	if who.role != pki.RoleTenant || forTenants[operation] {
		return nil
	}
	return api.Errorf(api.CodeForbidden, "the certificate of %s is a tenant's, and this is for operators: "+
		"`flocker ca create-api-certificate NAME` without --tenant makes an operator's", who.name)
}

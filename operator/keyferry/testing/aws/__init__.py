"""A strict AWS for tests and the demo: moto, behind a door that checks what AWS checks.

`StrictAws` runs it as a process that ends with its owner; `.control` orders faults and reads the call
log, `.administrator()` sets up secrets, users and roles. Nothing of moto is imported here: it loads in
the process alone.

Checked: Signature Version 4 (key, scope, time, payload), session tokens and their expiry, identity
policies with conditions and variables, policies on roles and secrets, session policies, external ids,
session tags along role chains, web identity tokens by their issuer's keys. moto's own enforcement is on
behind the door.

Not as AWS: ECR gives logins and has no images; of services other than it, Secrets Manager, Parameter Store and
STS (IAM, KMS, SQS and the rest of Systems Manager are moto's) only policies for all resources are judged; there
are no permission boundaries and organization policies; reading a secret asks no KMS key (faults do; reading a
parameter does); nothing is throttled by itself. What a policy may say and this double does not know (operators on numbers, dates and addresses, NotPrincipal) is
answered with NotImplementedByDouble, as are other operations of STS and ECR.
"""

from keyferry.testing.aws.administrator import AccessKeys, Administrator
from keyferry.testing.aws.calls import CallFilter, CallRecord
from keyferry.testing.aws.client import AwsControl
from keyferry.testing.aws.faults import Fault
from keyferry.testing.aws.process import DEFAULT_ACCOUNT, StrictAws

__all__ = [
    "DEFAULT_ACCOUNT",
    "AccessKeys",
    "Administrator",
    "AwsControl",
    "CallFilter",
    "CallRecord",
    "Fault",
    "StrictAws",
]

"""A module pickled after a call, before `gatewise.nn.core`: read, and as it was."""

import base64
import pickle
import zlib

import torch
from twins import assert_same

from gatewise.nn import LSTM

# torch.manual_seed(0); m = LSTM(2, 3); m.freeze_weights(); m(torch.zeros(1, 1, 2)).
PICKLED = (
    "c-q}oeQXp(6u+<1_O4e-n+gR&{DZ_(l1oz#+J@d%3xdfCQa<#E!O7m<+|6)%yLY>DJ=>(F1X@~H<PWw1ziJ}JprS"
    "|u5wN#sBpOtL2@w-Nh^R3l7%%}7O^EvT?)q^pAphcRay$Fp@4cCMzc=$<pKI9XvE_eyO-x`oLpAJ|Wxu4cgrU10U"
    "%z3svDbKTtI=!t^a`d5RHkyw7}Px|DX2mMGpuTPWmN{#7-5JKBsCg(6;o7^_)(fsNi+0Xq~dUzN|6aO@JlKuDHxV"
    "DMMYgrpz!J5g1rVWA%+dT21$w#K~Ysnpl~<C8lXC!w%crdj-77l=F2Ppx_`^TwGIA0$Le35@ZX!V`9d|YucWFlMN"
    "}lz1uLbBoU#KT<OPjH8Iv%=a)b(U$}t#ngOGJ6G16!c)>6*il*<<?1EEF~m8HsfN5~0ZRA#9eyes6gd?<1(RnEK8"
    "X_(U&D!0IeC8um+ehcoEuyD4%Aatkfp=!Xi1{#|iTN+yeOO~`QZAlgUipg}!$<JBCQm#($wmD_H71l2J=M)&TT{^"
    "J)gSx#V+;jYO^V3~ln@5g{=K7%p+{5u@qdmf9uH!;y_FQs4H}ZCqc{zS5n_cY9ef9AvbNeyPtOy)#+kJv^(Pxfu="
    "c1=gdZN$VHu@y@K;{o_`BT@k^??hV(Qm9XcpG2EI|dBi!P^InA>9M9l(5Jkl)$U!2{nRM99cm{W+loxgMrN;nFFI"
    "8Fd9z_l1~fbAzmM;>DYD86BlT1X>KYZZsBc-D`0`Rg+=1N88)+cSx@lTmu2nU^DA?|&pv5BcBtMwqeacnqW^HOzn"
    "C+Vb%SPG|5@{U$(`e#KV-hr@He;dmu=jJNB3~C?4NC(-TTb*p3}j&&7C{D@4Tr+_M1O$J<09te1~gq*k%R~zBNj!"
    "vt006ZTsN^Te!8OuLj?1`h?@X@0wRPeiuCF|Jl5J@r>y|y5F22+6hEE^F-$<oI<8MOa-lY!pEpwbgxsnxH-@o2$W"
    "D+bvr7HSfH}1NaY(J_H#QwN^mzC4x7eHO`LDlYuxeRaQ27cqiv7etl-`Zzt7cQ@wRV2^OO1c!O%pg`wiaSf2S~$|"
    "5upd6tuS7WtfZDNnsw@M7SBh-Qbpu*xIjANBfG-E5R2AY`JfDZ3>329yj-xmATpLob6wny2u?->T-7x=Codc!s%$"
    "VP{8zgNLFN&v?8ZLDPm(fq+w?4G4whV7Q}c)P@#mW7!gH@YewFgK664fS$rR&8j7YRsZ?#O(W_BZQK#YOmP%2EGJ"
    "-6-*cf8|6oepUgl-Lq0^G=vBBpj6Gj*8@rfY67$1J2VXarCMZuAoK`pJr^zULOo^BoZLrXv)sbcPC)P$Fpw=lO8K"
    "7#qZ{yQ!Q^vwWgL5z;+`Mj}`)emixyoK7G~=(cF&?Yhf4J63-Z7MMs-l&Ttos#P9Qm86np#;RgM*>rE1MyOh-WP$"
    "{kN;p4TihgatcT^G>DwHn`$<VZD#^zfzI;90}5oyMH6)+=>nSv3RkvNg^N<sIQc+M*qkcY@p(t&lCh$YF;z2m)D;"
    "oG&`dgU82YYF8VjU^Ncls~Jxm>?4vknW+OAsp6gM1sY5Qh}q3FkA%P)@ER9SftjS0KTl01fD^XR#hw0r^luO^(Zn"
    "fk&O=q486Lz=jn!Z5*Ab$L6^v=AQjk#(9Rr>BQ$V5SO$V>Q5+|km6C`Nj6_9+E^pT49yCJ~31nr62cXq0cKv7gOD"
    "a^!J&Jp+>%cy=15U`~Nw6HFGR#sAs}M49ilF)Q@pgC|yc05qbn&)9>*COM7+Z~W*#9qO?E0Y"
)


def test_a_pickle_with_packed_weights_is_read():
    m = pickle.loads(zlib.decompress(base64.b85decode(PICKLED)))
    torch.manual_seed(0)
    x, expected = torch.randn(4, 2, 2), LSTM(2, 3)
    expected.load_state_dict(m.state_dict())
    assert_same(m(x), expected(x), rtol=0, atol=0)
    assert m._core.frozen
    assert "_kept_for_the_core" not in m.__dict__

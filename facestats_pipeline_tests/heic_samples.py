"""A drawn gradient of 64×48 px as HEIC, which no library of this project writes: made by pillow-heif 1.8.1, quality 60, and kept as text.

TURNED is stored on its side with the `irot` and the EXIF orientation that turn it back, and has `test_colour.swapped_profile()`.
"""

import base64

import numpy as np
import numpy.typing as npt


def gradient() -> npt.NDArray[np.uint8]:
    """The picture before it was encoded, (48, 64, 3)."""
    y, x = np.mgrid[:48, :64]
    return np.stack([x * 4, y * 5, 255 - x * 4], -1).astype(np.uint8)


PLAIN = base64.b85decode(
    "0000SW^{RQXk}?*00000ZE0pPXk}?*ZE0a<0004fZDn*}000000000XXk=`10000000000aA{+700000000000000000000B57=IV*mgE07O6l"
    "0RRC200001p#T8@00000005l;001LtX>Mi!000000RR916=`l}WdZ;I000310BCk&F#rGn01j|zbZr0t000010002}X>f9I0002pX>en20001X"
    "Xm(>m0RwOV0058x000009`FGC{rLC*01pFT0096PKmiN^|NjGU00093kN^M!000939=ZZRVE_RDDnbDP18@KU0|1Z!00RI30{|YNAb|yz>g1-m"
    "xCm%4AOHXZ10VnZ0{|gn00967L;=Bbz=;3=025<xY;ta6Y<K_x01W^JfB*mh6lrsCWdHyG00000KmY&$KmY&$C}V74Z~y=RKmY&$0RR91FaQ7m"
    "0RR91000000{{R2@Bjb+0ssI25O8UDX#fBK00RgJ2mk;87-?{AVE_OC000000RRC7fdT^sga7~lrEO$kbN~PVnJ59T3E(~so1RV(bg;%PKEZx~"
    "WLv~ebyqh>MK_J_QA%Kn`Han;ie_=S7wQ_^IRd8T2RT8aeuYKBRF)3@qUgYA(hRnH(w64J%PPh6dgwWh!R2-7N-cU1?4k#R^(GZ8esIMH6(GG>"
    "qxW8hG}5~eBYrrAL4dsY?u&a2jM_4ZB+NU?mv;!5Q4`}AX<Y;P$@Oh&JHP"
)
TURNED = base64.b85decode(
    "0000SW^{RQXk}?*00000ZE0pPXk}?*ZE0a<000CHZDn*}000000000XXk=`10000000000aA{+700000000000000000000G-+&aV*mgE07O6l"
    "0ssL300004F#rJo00000005By0ssI200hDS0RR9100000Bme*aIB98aW&i*H00062000$fZf0cy000000RRAKc4ILB0000LX>Mj^0ssI300IC2"
    "MR;ju000004sdC7Z2$lO0003100T^EaB^?}00S#&aAR)(004Gqc4I>U18@KU0FVFx0000U@BsY%`1k+-4+CHT0RR|40Sp2E{{wIU00RJ!00093"
    "00RIXx&lC90096hLID8-Z~y=U0FVFx0{{R603M(qfd!W8<fgf}2xu@M00096AOHXZ03l)k0RRR>0l{;?i2wisSYvN&a&U5QW&i*JOl)Iqa|A#D"
    "0Bvq`a#BY^AXr&iAOHXW00000000000AXWua6wQ|OaK4?00000000000000000000000000002?)&Kzj0002fEo@_La{vGU000000000000000"
    "00000000000000000000000000000000000000003uI+;V*mgF2mk;8He+ydbN~PWKmY&$Om}o}bN~PWi~s-t6k}*%WB>pGpa1{>EOJ;`S^xk6"
    "^Z)<=6k=FeS^xk6-~a#s6lYjjS^xk6%m4rY6mnEjLjV8*2mk;8AZJukLjV8*2mk;8AYxQfLjV8*2mk;8AY*89Z2$lQC;$KeByDVUV*mgE00000"
    "0RR913}tRrQvd(}8UO$Q8~}3wcK~4kZ~!0xVgPjjX#i{hbO0>?X#j2j0Bvk_V*mgE000000RR913}tRrQvd(}FaQ7m8~{!LZvY?wV*qaeZ~%D#"
    "asX)nX8>pbbO0;>AOLj$a{y%kAOL0nasXujWdLjdd01ImAOHXW0002?)&Kzj0002fEpuiwG5`Po0003DLI3~--v9seB>(^ilK=qykpKVtq5uE="
    "q5uE`+yDT;Zdh4bAOHXW0001Qpa1|k^#A|^kXTt-AOHXW0000ap8x<4ga81x!&q5bAOHXW0001DmjD2_hX4Q=*>GWUVE_OC000930007JW&i;4"
    "rvLyASpWbN&;S4mTVrT)Z2$lO000930001^*8l)idjJ4T%>V$Ing9SMW&i*WTmS$76lrsCWdHyG00000KmY&$KmY&$C}V74Z~y=RFaQ7m0RR91"
    "KmY&$0ssI1@Bjb+0ssI2000000ssI25O8UDX#fBK00RgJ2mk;832Aa~bOQhY02yg;ZD9Za000000096227v+t1%!qG000_ka%E-!00000000hS"
    "WOHKx0ssL30RR91y=`P+bN~PVjVJ-H3E(~nXJ<W_pn2}e*e|QfP~+itroi{8xG(Rhr#;!NmS*$yu2*ht)*0<I3j9^{4@D}hER?@;W$C$Zw|%V3"
    "b=`k`)Dw8!9arhW<z7)&5pyWOK{>CUJVMVR4xWHQEO5Q|5$pDTkwwYW?0F^l9Yi>2Pjbks8=s4ax_py@Z+`qo&;$4F4=?}#00u>PX=VTbO-%qQ"
    "000080099K00RI30096700000000"
)
